import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { CodedError } from "@millrace/errors";
import {
  attachStreamProcessor,
  type MessageFields,
  type Published,
  type StreamProcessor,
} from "@millrace/sdk";
import { Command } from "commander";
import { type ClientOptions, collectAttribute, withClient, withClientOptions, type World } from "./client.js";

interface PublishOptions extends ClientOptions {
  sourceId?: string;
  attribute?: Record<string, string>;
  file?: string;
}

/** Lines that may be sent before their acknowledgement is waited for. */
const pendingMax = 1_000;

/** `millrace publish <stream> [text…]`: each text, else each line of the file or of stdin, is a message. */
export function publishCommand(world: World): Command {
  const command = new Command("publish")
    .description("publish texts: the arguments, or the lines of a file or of stdin")
    .argument("<stream>", "the stream's name")
    .argument("[text...]", "each argument is one message")
    .option("--source-id <id>", "what the messages are attributed to")
    .option("--attribute <name=value>", "an attribute of each message; may be repeated", collectAttribute)
    .option("--file <path>", "publish the lines of this file");
  return withClientOptions(command).action(
    async (stream: string, texts: string[], options: PublishOptions) => {
      if (texts.length > 0 && options.file !== undefined) {
        command.error("error: give texts or --file, not both", { exitCode: 2 });
      }
      if (texts.length === 0 && options.file === undefined && world.stdin.isTTY === true) {
        command.error("error: give texts, --file, or lines on stdin", { exitCode: 2 });
      }
      await withClient(options, world, async (client) => {
        await using processor = await attachStreamProcessor(stream, client);
        const lines = texts.length > 0 ? texts : readLines(world, options.file);
        await publishLines(processor, lines, { options, world });
      });
    },
  );
}

interface Context {
  options: PublishOptions;
  world: World;
}

async function publishLines(
  processor: StreamProcessor,
  lines: AsyncIterable<string> | Iterable<string>,
  { options, world: { output, signal } }: Context,
): Promise<void> {
  const rest: Omit<MessageFields, "text"> = {
    ...(options.sourceId !== undefined && { sourceId: options.sourceId }),
    ...(options.attribute !== undefined && { attributes: options.attribute }),
  };
  let sent = 0;
  let count = 0;
  let failure: unknown;
  // One after the other, so that results are printed in the order of the lines.
  let settled = Promise.resolve();
  const settle = async (call: Promise<Published>): Promise<void> => {
    const published = await call;
    count += 1;
    if (options.json === true) await output.json(published);
  };
  for await (const text of lines) {
    if (signal.aborted || failure !== undefined) break;
    if (text === "") continue;
    const call = processor.publish({ ...rest, text });
    // Its failure is met in its turn, which may be later.
    call.catch(() => undefined);
    settled = settled.then(() => settle(call));
    settled.catch((error: unknown) => (failure ??= error));
    sent += 1;
    if (sent - count >= pendingMax) await settled;
  }
  await settled;
  if (options.json !== true) await output.line(`published ${count} ${count === 1 ? "message" : "messages"}`);
}

async function* readLines({ stdin }: World, path: string | undefined): AsyncGenerator<string> {
  const input = path === undefined ? stdin : createReadStream(path);
  try {
    yield* createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  } catch (error) {
    throw CodedError.from(error, `read ${path ?? "stdin"}`);
  }
}
