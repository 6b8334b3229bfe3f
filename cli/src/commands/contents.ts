import { attachStreamProcessor } from "@millrace/sdk";
import { Command } from "commander";
import { type ClientOptions, parseCount, withClient, withClientOptions, type World } from "./client.js";
import { renderMessage } from "./subscribe.js";

interface ContentsFlags extends ClientOptions {
  delete?: string;
  maxResults?: number;
}

/** `millrace contents <stream> [source-id]`: a stream's artifacts, or what one holds, the oldest first. */
export function contentsCommand(world: World): Command {
  const command = new Command("contents")
    .description("list a stream's artifacts, or what one of them holds")
    .argument("<stream>", "the stream's name")
    .argument("[source-id]", "what the artifact is about; without it the artifacts are listed")
    .option("--delete <id>", "delete this content instead")
    .option("-n, --max-results <count>", "end after so many", parseCount(1_000_000_000));
  return withClientOptions(command).action(
    async (stream: string, sourceId: string | undefined, flags: ContentsFlags) => {
      const { output, signal } = world;
      await withClient(flags, world, async (client) => {
        await using processor = await attachStreamProcessor(stream, client);
        if (sourceId === undefined) {
          if (flags.delete !== undefined) {
            return command.error("error: --delete needs the source id of the content's artifact");
          }
          return print(
            processor.listArtifacts({ signal }),
            world,
            flags,
            ({ id, sourceId: about }) => `${id}  ${about}`,
          );
        }
        const artifact = await processor.getOrCreateArtifact(sourceId);
        if (flags.delete === undefined) {
          return print(
            artifact.list({ signal }),
            world,
            flags,
            ({ id, message }) => `${id}  ${renderMessage(message)}`,
          );
        }
        const deleted = await artifact.delete(flags.delete);
        output.notice(
          deleted ? `Content ${flags.delete} is deleted.` : `There was no content ${flags.delete}.`,
        );
      });
    },
  );
}

async function print<Item extends object>(
  items: AsyncIterable<Item>,
  { output }: World,
  { json, maxResults = Number.POSITIVE_INFINITY }: ContentsFlags,
  render: (item: Item) => string,
): Promise<void> {
  let left = maxResults;
  for await (const item of items) {
    await (json === true ? output.json(item) : output.line(render(item)));
    left -= 1;
    if (left === 0) break;
  }
}

/** `millrace anonymize <stream> <id>`: cleans a content that is stored already. */
export function anonymizeCommand(world: World): Command {
  const command = new Command("anonymize")
    .description("find and replace personal data in a stored content, by every detector")
    .argument("<stream>", "the stream's name")
    .argument("<content-id>", "the content's id, as `millrace contents` shows it");
  return withClientOptions(command).action(async (stream: string, id: string, flags: ClientOptions) => {
    const { output } = world;
    await withClient(flags, world, async (client) => {
      await using processor = await attachStreamProcessor(stream, client);
      const done = await processor.anonymizeContent(id);
      if (flags.json === true) return output.json(done);
      const { types, resultsRewritten } = done;
      if (types.length === 0) return output.notice("It was clean.");
      return output.line(`Replaced: ${types.join(", ")}. Results rewritten: ${resultsRewritten}.`);
    });
  });
}
