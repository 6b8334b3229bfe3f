import { attachStreamProcessor, type Position, type ReplayOptions } from "@millrace/sdk";
import { Command, InvalidArgumentError, Option } from "commander";
import { type ClientOptions, withClient, withClientOptions, type World } from "./client.js";

interface ReplayFlags extends ClientOptions {
  into: string;
  from?: Date | Position;
  to?: Date | Position;
  source?: "results" | "storage";
  rate?: Pick<ReplayOptions, "messagesPerSecond" | "bytesPerSecond">;
}

/** `millrace replay <stream> --into <stream>`: shows how far it is, until it is done or Ctrl-C. */
export function replayCommand(world: World): Command {
  const command = new Command("replay")
    .description("send what came out of a stream into another one")
    .argument("<stream>", "the stream that is read")
    .requiredOption("--into <stream>", "the stream that it goes into")
    .option("--from <time|position>", "first message: 2026-01-31T12:00:00Z, or source:offset", parseBound)
    .option("--to <time|position>", "first message that is left out", parseBound)
    .addOption(new Option("--source <source>", "where from").choices(["results", "storage"]))
    .option("--rate <rate>", "at most so much a second: 500, or 2MB (default 1000 messages)", parseRate);
  return withClientOptions(command).action(async (stream: string, flags: ReplayFlags) => {
    const { output } = world;
    const { into, from, to, source, rate } = flags;
    await withClient(flags, world, async (client) => {
      await using processor = await attachStreamProcessor(stream, client);
      const done = await processor.replay({
        into,
        ...(from !== undefined && { from }),
        ...(to !== undefined && { to }),
        ...(source !== undefined && { source }),
        ...rate,
        signal: world.signal,
        onProgress: ({ messages }) => output.notice(`${messages} messages`),
      });
      const { messages, recognised } = done;
      if (flags.json === true) await output.json(done);
      else {
        const known = recognised === 0 ? "" : `, ${recognised} of them there already`;
        await output.line(`${messages} messages from ${done.source} of ${stream} into ${into}${known}`);
      }
    });
  });
}

/** A time as RFC 3339, or a position as `source:offset`. */
export function parseBound(value: string): Date | Position {
  const position = /^([0-9a-z-]{16,64}):(\d{1,16})$/.exec(value);
  if (position !== null) return { source: position[1] ?? "", offset: Number(position[2]) };
  const time = /^\d{4}-\d{2}-\d{2}([T ].+)?$/.test(value) ? new Date(value) : new Date(Number.NaN);
  if (!Number.isNaN(time.getTime())) return time;
  throw new InvalidArgumentError("Give a time, such as 2026-01-31T12:00:00Z, or a position source:offset.");
}

export function parseRate(value: string): Pick<ReplayOptions, "messagesPerSecond" | "bytesPerSecond"> {
  const [, amount = ""] = /^(.+?)(\/s)?$/.exec(value) ?? [];
  const count = Number(amount);
  if (/^\d+$/.test(amount) && count >= 1) return { messagesPerSecond: count };
  const size = /^\d+(\.\d+)?(KB|KiB|MB|MiB|GB|GiB)$/.exec(amount);
  if (size !== null) return { bytesPerSecond: amount };
  throw new InvalidArgumentError("Give messages, such as 500, or bytes, such as 2MB; each is a second's.");
}
