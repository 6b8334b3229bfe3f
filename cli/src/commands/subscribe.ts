import { attachStreamProcessor, type StoredMessage, type SubscribeOptions } from "@millrace/sdk";
import { Command, Option } from "commander";
import { oneLine } from "../output.js";
import {
  type ClientOptions,
  collect,
  parseCount,
  withClient,
  withClientOptions,
  type World,
} from "./client.js";

interface SubscribeFlags extends ClientOptions {
  from: "now" | "earliest";
  token?: string;
  sourceId?: string[];
  maxResults?: number;
}

/** `millrace subscribe <stream>`: prints what comes out, until Ctrl-C. */
export function subscribeCommand(world: World): Command {
  const command = new Command("subscribe")
    .description("print what comes out of a stream, until Ctrl-C")
    .argument("<stream>", "the stream's name")
    .addOption(new Option("--from <place>", "where to begin").choices(["now", "earliest"]).default("now"))
    .option("--token <token>", "a message's resumeToken: goes on right behind it")
    .option("--source-id <id>", "only this source id; may be repeated", collect)
    .option("-n, --max-results <count>", "end after so many messages", parseCount(1_000_000_000));
  return withClientOptions(command).action(async (stream: string, flags: SubscribeFlags) => {
    const { output } = world;
    const options: SubscribeOptions = {
      from: flags.from,
      ...(flags.token !== undefined && { resumeToken: flags.token }),
      ...(flags.sourceId !== undefined && { sourceIds: flags.sourceId }),
      onGap: ({ batches }) => output.notice(`${batches} batches of results are gone`),
      signal: world.signal,
    };
    await withClient(flags, world, async (client) => {
      await using processor = await attachStreamProcessor(stream, client);
      let left = flags.maxResults ?? Number.POSITIVE_INFINITY;
      for await (const message of processor.subscribe(options)) {
        await (flags.json === true ? output.json(message) : output.line(renderMessage(message)));
        left -= 1;
        if (left === 0) break;
      }
    });
  });
}

export function renderMessage(message: StoredMessage): string {
  const { acceptedTime, sourceId, sentiment, scene, objects, findings } = message;
  const labels = [sentiment, scene, ...objects].flatMap((each) => each?.label ?? []);
  const marks = [...new Set([...labels, ...findings.map(({ type }) => type)])];
  const content = renderContent(message);
  const suffix = marks.length === 0 ? "" : `  [${oneLine(marks.join(" "))}]`;
  return `${acceptedTime.toISOString()}  ${oneLine(sourceId) || "-"}  ${content}${suffix}`;
}

function renderContent(message: StoredMessage): string {
  if (message.kind === "text") return oneLine(message.text);
  const { byteLength } = message.content;
  return message.kind === "image" ? `an image of ${byteLength} bytes` : `${byteLength} bytes`;
}
