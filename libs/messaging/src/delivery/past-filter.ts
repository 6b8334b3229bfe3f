import { limits, type OpenBatch, rowKind, splitBatch } from "@millrace/envelope";
import { Kind } from "@millrace/proto/batch";
import type { Stream } from "@millrace/proto/stream";
import { enrichedFlags, routeOf, subjects } from "../broker/subjects.js";
import type { OutgoingBatch } from "./consume/options.js";

/**
 * Where a batch goes that is past the filter, or exempt from it: to inference when there is something to
 * infer, else straight to the sinks.
 */
export function pastFilter(clean: OpenBatch, stream: Stream): OutgoingBatch[] {
  const route = routeOf(clean.header);
  if (isInferred(clean, stream)) {
    // Small enough that a batch is about a second of work, and travels on the bus. The pieces get the same
    // ids whoever cuts them: one that was sent before its stream's exemption changed is recognised.
    const pieces = splitBatch(clean, limits.inferenceMessagesMax, limits.inlineBytesMax, "privacy");
    return pieces.map((batch) => ({ subject: subjects.clean(route), batch }));
  }
  return [{ subject: subjects.enriched(enrichedFlags(stream.outputs), route), batch: clean }];
}

/** Whether inference has to look at it. */
export function isInferred(
  { header, columns }: Pick<OpenBatch, "header" | "columns">,
  stream: Stream,
): boolean {
  const { embeddings = false, sentiment = false } = stream.enrichments ?? {};
  if (!embeddings && !sentiment) return false;
  for (let row = 0; row < header.count; row++) {
    if (rowKind(columns, row) === Kind.KIND_TEXT) return true;
  }
  return false;
}
