import type { Readable } from "node:stream";
import { connect, type MillraceClient } from "@millrace/sdk";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Output } from "../output.js";

/** What a command has of the world. */
export interface World {
  output: Output;
  stdin: Readable & { isTTY?: boolean };
  /** Fires at the first Ctrl-C, or when nobody reads the output any more. */
  signal: AbortSignal;
}

export interface ClientOptions {
  address: string;
  authToken?: string;
  tls?: boolean;
  json?: boolean;
}

/** The options of each command that talks to a gateway. */
export function withClientOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--address <host:port>", "the gateway").env("MILLRACE_ADDRESS").default("127.0.0.1:7070"),
    )
    .addOption(
      new Option("--auth-token <token>", "sent with each call; better given by the environment").env(
        "MILLRACE_AUTH_TOKEN",
      ),
    )
    .option("--tls", "connect by TLS")
    .option("--json", "print one JSON object a line");
}

/** Runs with a client, and closes it. */
export async function withClient(
  { address, authToken, tls }: ClientOptions,
  { output }: World,
  run: (client: MillraceClient) => Promise<void>,
): Promise<void> {
  const tell = (_fields: object, message: string): void => output.notice(message);
  await using client = connect({
    address,
    ...(authToken !== undefined && { token: authToken }),
    ...(tls !== undefined && { tls }),
    logger: { info: tell, warn: tell, error: tell },
  });
  await run(client);
}

/** Collects an option that may be given several times. */
export function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

export function parseCount(most: number): (value: string) => number {
  return (value) => {
    const count = Number(value);
    if (/^\d+$/.test(value) && count >= 1 && count <= most) return count;
    throw new InvalidArgumentError(`Give a whole number from 1 to ${most}.`);
  };
}

export function parseScore(value: string): number {
  const score = Number(value);
  if (value.trim() !== "" && score >= -1 && score <= 1) return score;
  throw new InvalidArgumentError("Give a number from -1 to 1.");
}

/** `k=v` into the record of attributes. */
export function collectAttribute(
  value: string,
  previous: Record<string, string> | undefined,
): Record<string, string> {
  const at = value.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Give name=value.");
  return { ...previous, [value.slice(0, at)]: value.slice(at + 1) };
}
