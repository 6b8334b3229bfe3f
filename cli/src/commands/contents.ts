import { attachStreamProcessor } from "@millrace/sdk";
import { Command } from "commander";
import { type ClientOptions, parseCount, withClient, withClientOptions, type World } from "./client.js";
import { renderMessage } from "./subscribe.js";

interface ContentsFlags extends ClientOptions {
  delete?: string;
  maxResults?: number;
}

/** `millrace contents <stream> <source-id>`: what an artifact holds, the oldest first. */
export function contentsCommand(world: World): Command {
  const command = new Command("contents")
    .description("list what an artifact holds, or delete one of its contents")
    .argument("<stream>", "the stream's name")
    .argument("<source-id>", "what the artifact is about")
    .option("--delete <id>", "delete this content instead")
    .option("-n, --max-results <count>", "end after so many contents", parseCount(1_000_000_000));
  return withClientOptions(command).action(async (stream: string, sourceId: string, flags: ContentsFlags) => {
    const { output, signal } = world;
    await withClient(flags, world, async (client) => {
      await using processor = await attachStreamProcessor(stream, client);
      const artifact = await processor.getOrCreateArtifact(sourceId);
      if (flags.delete !== undefined) {
        const deleted = await artifact.delete(flags.delete);
        output.notice(
          deleted ? `Content ${flags.delete} is deleted.` : `There was no content ${flags.delete}.`,
        );
        return;
      }
      let left = flags.maxResults ?? Number.POSITIVE_INFINITY;
      for await (const content of artifact.list({ signal })) {
        const { id, message } = content;
        await (flags.json === true ? output.json(content) : output.line(`${id}  ${renderMessage(message)}`));
        left -= 1;
        if (left === 0) break;
      }
    });
  });
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
