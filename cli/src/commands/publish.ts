import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { CodedError } from "@millrace/errors";
import {
  attachStreamProcessor,
  type MessageFields,
  type Published,
  type StreamProcessor,
} from "@millrace/sdk";
import { Command } from "commander";
import {
  type ClientOptions,
  collect,
  collectAttribute,
  withClient,
  withClientOptions,
  type World,
} from "./client.js";

interface PublishOptions extends ClientOptions {
  sourceId?: string;
  attribute?: Record<string, string>;
  file?: string;
  image?: string[];
}

/** Lines that may be sent before their acknowledgement is waited for. */
const pendingMax = 1_000;

type Content = Pick<MessageFields, "text" | "image">;

/**
 * `millrace publish <stream> [text…]`: each text or image, else each line of the file or of stdin, is a
 * message.
 */
export function publishCommand(world: World): Command {
  const command = new Command("publish")
    .description("publish texts: the arguments, or the lines of a file or of stdin; or images")
    .argument("<stream>", "the stream's name")
    .argument("[text...]", "each argument is one message")
    .option("--source-id <id>", "what the messages are attributed to")
    .option("--attribute <name=value>", "an attribute of each message; may be repeated", collectAttribute)
    .option("--image <path>", "publish this JPEG, PNG or WebP; may be repeated", collect)
    .option("--file <path>", "publish the lines of this file");
  return withClientOptions(command).action(
    async (stream: string, texts: string[], options: PublishOptions) => {
      const given = [texts.length > 0, options.file !== undefined, options.image !== undefined];
      const count = given.filter((isGiven) => isGiven).length;
      if (count > 1) command.error("error: give one of texts, --image and --file", { exitCode: 2 });
      if (count === 0 && world.stdin.isTTY === true) {
        command.error("error: give texts, --image, --file, or lines on stdin", { exitCode: 2 });
      }
      await withClient(options, world, async (client) => {
        await using processor = await attachStreamProcessor(stream, client);
        await publishContents(processor, contentsOf(texts, options, world), { options, world });
      });
    },
  );
}

interface Context {
  options: PublishOptions;
  world: World;
}

async function* contentsOf(
  texts: readonly string[],
  { image, file }: PublishOptions,
  world: World,
): AsyncGenerator<Content> {
  for (const path of image ?? []) yield { image: await readImage(path) };
  if (image !== undefined) return;
  for await (const text of texts.length > 0 ? texts : readLines(world, file)) if (text !== "") yield { text };
}

async function readImage(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw CodedError.from(error, `read ${path}`);
  }
}

async function publishContents(
  processor: StreamProcessor,
  contents: AsyncIterable<Content>,
  { options, world: { output, signal } }: Context,
): Promise<void> {
  const rest: Omit<MessageFields, keyof Content> = {
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
  for await (const content of contents) {
    if (signal.aborted || failure !== undefined) break;
    const call = processor.publish({ ...rest, ...content });
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
