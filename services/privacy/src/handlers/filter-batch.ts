import { limits, type OpenBatch, rowKind, splitBatch, stamp } from "@millrace/envelope";
import { enrichedFlags, type Handler, routeOf, type StreamRegistry, subjects } from "@millrace/messaging";
import { Kind } from "@millrace/proto/batch";
import type { Stream } from "@millrace/proto/stream";
import { findingTypeOf } from "../detect/finding-type.js";
import { type Bodies, filterOpenBatch } from "../filter/filter-body.js";
import type { Filters } from "../filter/filters.js";

export interface FilterBatchParts {
  filters: Filters;
  registry: StreamRegistry;
  bodies: Bodies;
  found: { inc(labels: { type: string }, by: number): void };
  version: string;
  now(): number;
}

/**
 * Raw batch in, redacted batch out: to inference when there is something to infer, else straight to the
 * sinks.
 */
export const filterBatch =
  ({ filters, registry, bodies, found, version, now }: FilterBatchParts): Handler =>
  async (raw) => {
    const startedMs = now();
    const { header } = raw;
    const stream = await registry.findFor(header);
    if (stream === undefined) return { dropped: "stream_deleted" };
    const filter = filters.of(stream);
    const clean = stamp(filterOpenBatch(filter, raw, bodies), {
      stage: "privacy",
      version,
      decidedBy: filter.hash,
      startedMs,
      endedMs: now(),
    });
    const after = (): void => {
      countFindings(clean, found);
      // Where nothing was found it is the raw body, whose memory the reader gives back.
      if (clean.body !== raw.body) bodies.give(clean.body);
    };
    return { batches: routed(clean, stream), after };
  };

function routed(clean: OpenBatch, stream: Stream): { subject: string; batch: OpenBatch }[] {
  const route = routeOf(clean.header);
  const wanted = stream.enrichments?.embeddings === true || stream.enrichments?.sentiment === true;
  if (wanted && hasText(clean)) {
    // Small enough that a batch is about a second of work, and travels on the bus.
    const pieces = splitBatch(clean, limits.inferenceMessagesMax, limits.inlineBytesMax, "privacy");
    return pieces.map((batch) => ({ subject: subjects.clean(route), batch }));
  }
  return [{ subject: subjects.enriched(enrichedFlags(stream.outputs), route), batch: clean }];
}

function hasText(open: OpenBatch): boolean {
  for (let row = 0; row < open.header.count; row++) {
    if (rowKind(open.columns, row) === Kind.KIND_TEXT) return true;
  }
  return false;
}

function countFindings(clean: OpenBatch, found: FilterBatchParts["found"]): void {
  const findings = clean.annotations.findings;
  if (findings === undefined) return;
  const counts = new Map<number, number>();
  for (const code of findings.types) counts.set(code, (counts.get(code) ?? 0) + 1);
  for (const code of findings.nameTypes) counts.set(code, (counts.get(code) ?? 0) + 1);
  for (const [code, count] of counts) found.inc({ type: findingTypeOf(code) ?? "UNKNOWN" }, count);
}
