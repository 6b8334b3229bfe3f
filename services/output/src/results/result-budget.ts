import { subjects } from "@millrace/messaging";
import type { Stream } from "@millrace/proto/stream";

/**
 * Keeps what a stream holds for its subscribers within its declared bytes; the age is the broker's to keep.
 */
export interface ResultBudget {
  add(tenant: string, stream: Stream, seq: number, bytes: number): void;
  /** A message was erased. */
  drop(tenant: string, name: string, seq: number): void;
  /** A stream was deleted. */
  forget(tenant: string, name: string): void;
}

export interface ResultBudgetOptions {
  /** What is stored of a subject, in order: what earlier lives of the service left. */
  storedSizes(subject: string): Promise<Frame[]>;
  /** Removes what is before that number. */
  purge(subject: string, seq: number): Promise<void>;
  onError(what: string, error: unknown): void;
}

export interface Frame {
  seq: number;
  bytes: number;
}

interface Kept {
  frames: Frame[];
  bytes: number;
  /** Not known yet is what earlier lives left. */
  isLoaded: boolean;
  isLoading: boolean;
}

const defaultBytes = 256 * 1024 * 1024;

export function createResultBudget(options: ResultBudgetOptions): ResultBudget {
  const kept = new Map<string, Kept>();

  const load = async (subject: string, of: Kept): Promise<void> => {
    of.isLoading = true;
    try {
      const stored = await options.storedSizes(subject);
      const last = stored.at(-1)?.seq ?? 0;
      // What was added meanwhile may be among them.
      of.frames = [...stored, ...of.frames.filter(({ seq }) => seq > last)];
      of.bytes = of.frames.reduce((sum, { bytes }) => sum + bytes, 0);
      of.isLoaded = true;
    } catch (caught) {
      // The next frame tries again.
      options.onError("sizes of stored results not read", caught);
    } finally {
      of.isLoading = false;
    }
  };

  return {
    add: (tenant, stream, seq, bytes) => {
      const subject = subjects.result(tenant, stream.name);
      const of = kept.get(subject) ?? { frames: [], bytes: 0, isLoaded: false, isLoading: false };
      kept.set(subject, of);
      of.frames.push({ seq, bytes });
      of.bytes += bytes;
      const keep = (): void => keepWithin(options, subject, { of, stream });
      if (of.isLoaded) keep();
      else if (!of.isLoading) void load(subject, of).then(keep);
    },
    drop: (tenant, name, seq) => {
      const of = kept.get(subjects.result(tenant, name));
      const at = of?.frames.findIndex((frame) => frame.seq === seq) ?? -1;
      if (of === undefined || at < 0) return;
      of.bytes -= of.frames[at]?.bytes ?? 0;
      of.frames.splice(at, 1);
    },
    forget: (tenant, name) => void kept.delete(subjects.result(tenant, name)),
  };
}

function keepWithin(
  { purge, onError }: ResultBudgetOptions,
  subject: string,
  { of, stream }: { of: Kept; stream: Stream },
): void {
  const budget = stream.outputs?.results?.bytes || defaultBytes;
  if (of.bytes <= budget) return;
  // A tenth at once, so that a full budget is not one purge a frame.
  let drop = 0;
  while (drop < of.frames.length - 1 && of.bytes > budget * 0.9) of.bytes -= of.frames[drop++]?.bytes ?? 0;
  of.frames.splice(0, drop);
  const [first] = of.frames;
  if (drop === 0 || first === undefined) return;
  purge(subject, first.seq).catch((caught: unknown) =>
    onError("results beyond the budget not removed", caught),
  );
}
