import { CodedError } from "@millrace/errors";
import {
  boundFindings,
  limits,
  type OpenBatch,
  rowKind,
  type SendableBatch,
  stamp,
} from "@millrace/envelope";
import { type Handler, type Outgoing, pastFilter, type StreamRegistry, subjects } from "@millrace/messaging";
import { Kind } from "@millrace/proto/batch";
import { Event } from "@millrace/proto/event";
import { findingTypeOf } from "../detect/finding-type.js";
import { type Bodies, filterOpenBatch, redactHere, redactInThreads } from "../filter/filter-body.js";
import type { Filters } from "../filter/filters.js";
import type { FilterPool } from "../filter/pool/filter-pool.js";
import { violationEvent } from "../filter/violation-event.js";

export interface FilterBatchParts {
  filters: Filters;
  registry: Pick<StreamRegistry, "findFor">;
  bodies: Bodies;
  /** Threads for streams that ask for some, or by `threads`, and the memory that they share. */
  pool: FilterPool;
  shared: Bodies;
  /** For streams that ask for no number; 0: this thread filters. */
  threads: number;
  found: { inc(labels: { type: string }, by: number): void };
  version: string;
  now(): number;
}

/**
 * Raw batch in, redacted batch out: to inference when there is something to infer, else straight to the
 * sinks.
 */
export const filterBatch =
  ({ filters, registry, bodies, pool, shared, threads, found, version, now }: FilterBatchParts): Handler =>
  async (raw) => {
    const startedMs = now();
    const { header } = raw;
    const stream = await registry.findFor(header);
    if (stream === undefined) return { dropped: "stream_deleted" };
    refuseImages(raw);
    const filter = filters.of(stream);
    const may = stream.workerThreads > 0 ? stream.workerThreads : threads;
    // A small body is filtered in the time that a message to a thread takes.
    const isHere = may === 0 || raw.body.length <= limits.inlineBytesMax;
    const redact = isHere ? redactHere(bodies) : redactInThreads(pool, shared, may);
    const whole = await filterOpenBatch(filter, raw, redact);
    const clean = stamp(boundFindings(whole), {
      stage: "privacy",
      version,
      decidedBy: filter.hash,
      startedMs,
      endedMs: now(),
    });
    const after = (): void => {
      countFindings(whole, found);
      // Where nothing was found it is the raw body, and parts are views of it: the reader gives that back.
      const { body } = clean;
      if (body instanceof Uint8Array && body !== raw.body) (isHere ? bodies : shared).give(body);
    };
    // Each message with a finding is named, so only where the stream asks for it.
    const publish = stream.outputs?.violations === true ? violations(whole, now()) : [];
    return { batches: pastFilter(clean, stream), publish, after };
  };

/** An image is no text that could be redacted: it waits raw, among the dead letters, for a filter. */
function refuseImages({ header, columns }: OpenBatch): void {
  for (let row = 0; row < header.count; row++) {
    if (rowKind(columns, row) !== Kind.KIND_IMAGE) continue;
    throw new CodedError("failed_precondition", "filter batch: images are not filtered by this version", {
      remedy: "Send them as soon as it is replaced by one that does.",
    });
  }
}

function violations(whole: SendableBatch, nowMs: number): Outgoing[] {
  const event = violationEvent(whole, nowMs);
  if (event === undefined) return [];
  const { tenant, stream } = whole.header;
  const subject = subjects.event(tenant, stream, event.type);
  return [{ subject, data: Event.encode(event).finish(), id: event.id }];
}

function countFindings({ annotations }: SendableBatch, found: FilterBatchParts["found"]): void {
  const { findings } = annotations;
  if (findings === undefined) return;
  const counts = new Map<number, number>();
  for (const code of findings.types) counts.set(code, (counts.get(code) ?? 0) + 1);
  for (const code of findings.nameTypes) counts.set(code, (counts.get(code) ?? 0) + 1);
  for (const [code, count] of counts) found.inc({ type: findingTypeOf(code) ?? "UNKNOWN" }, count);
}
