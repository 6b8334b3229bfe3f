import { decodeBatch, messageViews, openBatch } from "@millrace/envelope";
import type { Message } from "@millrace/proto/message";

/** Responses hold about so much: a client takes 4 MiB at most, and each message carries its passport. */
const responseBytesMax = 1024 * 1024;
/** Ids, times and tags of a message. */
const messageBytesBase = 160;
const entryBytes = 64;

/**
 * Part of one result message. `lastIndex`: the row behind which the next part begins, "end" where there is
 * none.
 */
export interface ResultPart {
  messages: Message[];
  lastIndex: number | "end";
}

/**
 * The rows of a result message behind `afterIndex`, those of the wanted source ids only, in parts of 1 MiB.
 */
export function* resultParts(
  data: Uint8Array,
  { afterIndex, sourceIds }: { afterIndex: number; sourceIds: ReadonlySet<string> },
): Generator<ResultPart> {
  const batch = decodeBatch(data);
  const open = openBatch(batch, batch.body?.$case === "inline" ? batch.body.value : new Uint8Array());
  const view = messageViews(open);
  let messages: Message[] = [];
  let bytes = 0;
  for (let row = afterIndex + 1; row < open.header.count; row++) {
    const message = view(row);
    if (sourceIds.size > 0 && !sourceIds.has(message.sourceId)) continue;
    const size = sizeOf(message);
    if (messages.length > 0 && bytes + size > responseBytesMax) {
      yield { messages, lastIndex: row - 1 };
      messages = [];
      bytes = 0;
    }
    messages.push(message);
    bytes += size;
  }
  if (messages.length > 0) yield { messages, lastIndex: "end" };
}

function sizeOf(message: Message): number {
  const { content, attributes, findings, passport } = message;
  let bytes = messageBytesBase + message.sourceId.length + entryBytes * (findings.length + passport.length);
  bytes += content?.$case === "text" ? Buffer.byteLength(content.value) : (content?.value.length ?? 0);
  for (const hop of passport) bytes += hop.decidedBy.length;
  for (const [name, value] of Object.entries(attributes))
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
  return bytes;
}
