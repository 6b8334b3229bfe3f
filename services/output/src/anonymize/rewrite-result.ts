import {
  boundFindings,
  contentBytes,
  deriveId,
  encodeBatch,
  idBytes,
  idText,
  type OpenBatch,
  rewriteRows,
} from "@millrace/envelope";
import { type Outgoing, subjects } from "@millrace/messaging";
import type { Message } from "@millrace/proto/message";
import type { ResultMatch } from "./result-matches.js";

/**
 * The result message with those contents as they are now, under an id that follows from the old one;
 * undefined where it has them so already. It lives no longer than the old one would have.
 */
export function rewriteResult(
  { result, open, rows }: ResultMatch,
  cleaned: ReadonlyMap<string, Message>,
  nowMs: number,
): Outgoing | undefined {
  const rewritten = new Map<number, Message>();
  for (const [row, message] of rows) {
    const now = cleaned.get(message.id);
    if (now !== undefined && !isSame(message, now)) rewritten.set(row, now);
  }
  if (rewritten.size === 0) return undefined;
  const next = boundFindings(withId(rewriteRows(open, rewritten), rewritten));
  const { tenant, stream, count } = next.header;
  const livedSeconds = (nowMs - result.timeMs) / 1000;
  return {
    subject: subjects.result(tenant, stream),
    data: encodeBatch(next, { $case: "inline", value: next.body }),
    id: idText(next.header.id),
    messageCount: count,
    ...(result.ttlSeconds !== undefined && {
      ttlSeconds: Math.max(1, Math.ceil(result.ttlSeconds - livedSeconds)),
    }),
  };
}

function withId(open: OpenBatch, rewritten: ReadonlyMap<number, Message>): OpenBatch {
  const id = deriveId("anonymized", idText(open.header.id), [...rewritten.keys()].join(","));
  return { ...open, header: { ...open.header, id: idBytes(id) } };
}

function isSame(stored: Message, now: Message): boolean {
  return (
    stored.sourceId === now.sourceId &&
    Buffer.compare(contentBytes(stored), contentBytes(now)) === 0 &&
    sorted(stored.attributes) === sorted(now.attributes)
  );
}

const sorted = (attributes: Record<string, string>): string =>
  JSON.stringify(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)));
