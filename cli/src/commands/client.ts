import { readFileSync } from "node:fs";
import type { Readable } from "node:stream";
import { CodedError } from "@millrace/errors";
import { connect, type ConnectOptions, type MillraceClient } from "@millrace/sdk";
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
  tls?: boolean;
  caFile?: string;
  serverName?: string;
  tokenFile?: string;
  json?: boolean;
}

/** The options of each command that talks to a gateway. */
export function withClientOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--address <host:port>", "the gateway").env("MILLRACE_ADDRESS").default("127.0.0.1:7070"),
    )
    .option("--tls", "connect by TLS, trusting the CAs of Node")
    .addOption(
      new Option("--ca-file <path>", "connect by TLS, trusting the certificates in this file").env(
        "MILLRACE_CA_FILE",
      ),
    )
    .option("--server-name <name>", "the name that the gateway's certificate has, where it is another")
    .option("--token-file <path>", "the token that is sent with each call; default: that in MILLRACE_TOKEN")
    .option("--json", "print one JSON object a line");
}

/** Runs with a client, and closes it. */
export async function withClient(
  options: ClientOptions,
  { output }: World,
  run: (client: MillraceClient) => Promise<void>,
): Promise<void> {
  const tell = (_fields: object, message: string): void => output.notice(message);
  const token = tokenOf(options);
  const tls = tlsOf(options);
  await using client = connect({
    address: options.address,
    ...(token !== undefined && { token }),
    ...(tls !== undefined && { tls }),
    logger: { info: tell, warn: tell, error: tell },
  });
  await run(client);
}

function tlsOf({ tls, caFile, serverName }: ClientOptions): ConnectOptions["tls"] {
  if (caFile === undefined && serverName === undefined) return tls;
  return { ...(caFile !== undefined && { caFile }), ...(serverName !== undefined && { serverName }) };
}

/** Never an argument: those of a process are seen by all users of a machine. */
function tokenOf({ tokenFile }: ClientOptions): string | undefined {
  if (tokenFile === undefined) return process.env["MILLRACE_TOKEN"] || undefined;
  try {
    return readFileSync(tokenFile, "utf8").trim();
  } catch (cause) {
    throw new CodedError("not_found", `read --token-file: ${tokenFile} cannot be read`, {
      field: "--token-file",
      remedy: "Name a file that holds the token.",
      cause,
    });
  }
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
