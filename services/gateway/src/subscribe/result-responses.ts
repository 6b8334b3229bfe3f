import type { Message } from "@millrace/proto/message";

/** Responses hold about so much: a client takes 4 MiB at most, and each message carries its passport. */
const responseBytesMax = 1024 * 1024;
/** What is told together: a response costs the gateway about the same with one result or with fifty. */
export const togetherMax = { bytes: 256 * 1024, messages: 512 } as const;
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

/** The messages of a result behind `afterIndex`, the wanted ones only, in parts of 1 MiB. */
export function* partsOf(
  all: readonly Message[],
  { afterIndex, isWanted }: { afterIndex: number; isWanted?: ((message: Message) => boolean) | undefined },
): Generator<ResultPart> {
  let messages: Message[] = [];
  let bytes = 0;
  for (const [row, message] of all.entries()) {
    if (row <= afterIndex || isWanted?.(message) === false) continue;
    const size = messageBytes(message);
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

/** About what a message takes in a response. */
export function messageBytes(message: Message): number {
  const { content, attributes, findings, passport } = message;
  let bytes = messageBytesBase + message.sourceId.length + entryBytes * (findings.length + passport.length);
  bytes += content?.$case === "text" ? Buffer.byteLength(content.value) : (content?.value.length ?? 0);
  for (const hop of passport) bytes += hop.decidedBy.length;
  for (const [name, value] of Object.entries(attributes))
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
  return bytes;
}
