import { boundFindings, limits, type OpenBatch, type SendableBatch, stamp } from "@millrace/envelope";
import {
  type Handler,
  noPace,
  type Outcome,
  type Pace,
  pastFilter,
  type StreamRegistry,
} from "@millrace/messaging";
import type { Stream } from "@millrace/proto/stream";
import { type Bodies, filterOpenBatch, redactHere, redactInThreads } from "../filter/filter-body.js";
import { countFindings, type FindingsCounter } from "../filter/count-findings.js";
import type { Filter, Filters } from "../filter/filters.js";
import type { FilterPool } from "../filter/pool/filter-pool.js";
import { violations } from "../filter/violation-event.js";
import type { CleanImage } from "../image/clean-image.js";
import { filterImages, hasImages, withImages, withoutImages } from "../image/filter-images.js";

export interface FilterBatchParts {
  filters: Filters;
  registry: Pick<StreamRegistry, "findFor">;
  bodies: Bodies;
  /** Threads for streams that ask for some, or by `threads`, and the memory that they share. */
  pool: FilterPool;
  shared: Bodies;
  /** For streams that ask for no number; 0: this thread filters. */
  threads: number;
  /** What images go through; see `ImageFilter.clean`. */
  cleanImage(bytes: Uint8Array): Promise<CleanImage>;
  found: FindingsCounter;
  version: string;
  now(): number;
}

/** What is settled of a batch before anything of it is looked at. */
interface Work {
  stream: Stream;
  filter: Filter;
  startedMs: number;
}

/** For the texts beside images, which are few. */
const noPool: Bodies = { take: (bytes) => new Uint8Array(bytes), give: () => undefined };

/**
 * Raw batch in, redacted batch out: to inference when there is something to infer, else straight to the
 * sinks.
 */
export const filterBatch =
  (parts: FilterBatchParts): Handler =>
  async (raw, _, pace = noPace) => {
    const { filters, registry, bodies, pool, shared, threads } = parts;
    const startedMs = parts.now();
    const stream = await registry.findFor(raw.header);
    if (stream === undefined) return { dropped: "stream_deleted" };
    const work = { stream, filter: filters.of(stream), startedMs };
    if (hasImages(raw)) return filterWithImages(raw, work, parts, pace);
    const may = stream.workerThreads > 0 ? stream.workerThreads : threads;
    // A small body is filtered in the time that a message to a thread takes.
    const isHere = may === 0 || raw.body.length <= limits.inlineBytesMax;
    const redact = isHere ? redactHere(bodies) : redactInThreads(pool, shared, may);
    const whole = await filterOpenBatch(work.filter, raw, redact);
    const outcome = passOn(whole, work, parts);
    const after = (): void => {
      countFindings(whole.annotations, parts.found);
      // Where nothing was found it is the raw body, and parts are views of it: the reader gives that back.
      const { body } = whole;
      if (body instanceof Uint8Array && body !== raw.body) (isHere ? bodies : shared).give(body);
    };
    return { ...outcome, after };
  };

async function filterWithImages(
  raw: OpenBatch,
  work: Work,
  parts: FilterBatchParts,
  pace: Pace,
): Promise<Outcome> {
  // An image has a longest time of its own, and it passes in another process.
  const filtering = pace.waits(filterImages(raw, parts.cleanImage));
  const { pieces, failures } = await pace.aside(filtering);
  const keepsFaces = work.stream.privacy?.faceDetection !== false;
  const cleaned: SendableBatch[] = [];
  for (const piece of pieces) {
    const texts = await filterOpenBatch(work.filter, withoutImages(piece), redactHere(noPool));
    cleaned.push(withImages(texts, piece.images, keepsFaces));
  }
  const outcomes = cleaned.map((whole) => passOn(whole, work, parts));
  return {
    batches: outcomes.flatMap(({ batches = [] }) => batches),
    publish: outcomes.flatMap(({ publish = [] }) => publish),
    failures,
    after: () => {
      for (const whole of cleaned) countFindings(whole.annotations, parts.found);
    },
  };
}

function passOn(whole: SendableBatch, { stream, filter, startedMs }: Work, parts: FilterBatchParts): Outcome {
  const { version, now } = parts;
  const clean = stamp(boundFindings(whole), {
    stage: "privacy",
    version,
    decidedBy: filter.hash,
    startedMs,
    endedMs: now(),
  });
  // Each message with a finding is named, so only where the stream asks for it.
  const publish = stream.outputs?.violations === true ? violations(whole, now()) : [];
  return { batches: pastFilter(clean, stream), publish };
}
