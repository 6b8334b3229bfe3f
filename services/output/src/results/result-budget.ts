import { CodedError } from "@millrace/errors";
import { subjects } from "@millrace/messaging";
import type { Stream } from "@millrace/proto/stream";
import { type Frame, resultAgeSeconds, resultBytes } from "./result-limits.js";
import { createResultRoom, type Wanted } from "./result-room.js";

/**
 * Keeps what a stream holds for its subscribers within its declared bytes: beyond them the oldest go. The
 * age is the broker's to keep.
 *
 * What a must-deliver group has not settled stays, whatever its age. Where it fills the bytes, the stream's
 * batches wait; what is settled goes as it makes room, and beyond its age.
 */
export interface ResultBudget {
  /** A message was erased. */
  drop(tenant: string, name: string, seq: number): void;
  /**
   * Resolves when the stream may hold so many bytes more. Errors: `resource_exhausted` with scope `stream`
   * where a group has to settle something first.
   */
  room(tenant: string, stream: Stream, wanted: Wanted): Promise<void>;
  /** It is stored: what was reserved for it is counted by `add`. */
  stored(tenant: string, stream: Stream, id: string): void;
  /** Whether the broker may remove the stream's results by their age. */
  ages(tenant: string, stream: Stream): boolean;
  add(tenant: string, stream: Stream, frame: Frame): void;
  /** A stream was deleted. */
  forget(tenant: string, name: string): void;
  /** Removes what is settled and beyond its age. */
  sweep(streams: readonly { tenant: string; stream: Stream }[]): Promise<void>;
}

export interface ResultBudgetOptions {
  /** What is stored of a subject, in order: what earlier lives of the service left, and other replicas. */
  storedSizes(subject: string): Promise<Frame[]>;
  /** Removes what is before that number. */
  purge(subject: string, seq: number): Promise<void>;
  /** Names of the stream's must-deliver groups. */
  groupsOf(tenant: string, stream: string): readonly string[];
  /** Up to which number all of these have settled. */
  floorOf(tenant: string, stream: string): Promise<number>;
  now(): number;
  onError(what: string, error: unknown): void;
}

interface Kept {
  frames: Frame[];
  bytes: number;
  /** Not known yet is what earlier lives left. */
  isLoaded: boolean;
  loading: Promise<void> | undefined;
  loadedMs: number;
  reserved: Map<string, { bytes: number; untilMs: number }>;
}

/** A tenth at once, so that a full budget is not one purge a frame. */
const trimmed = 0.9;
/**
 * Other replicas add too: what is known is asked anew before anybody waits for it, not more often than
 * this.
 */
const reloadMs = 1_000;

export function createResultBudget(options: ResultBudgetOptions): ResultBudget {
  const kept = new Map<string, Kept>();
  const keptOf = (subject: string): Kept => {
    const of = kept.get(subject) ?? {
      frames: [],
      bytes: 0,
      isLoaded: false,
      loading: undefined,
      loadedMs: 0,
      reserved: new Map(),
    };
    kept.set(subject, of);
    return of;
  };
  const read = async (subject: string, of: Kept): Promise<void> => {
    try {
      const stored = await options.storedSizes(subject);
      const last = stored.at(-1)?.seq ?? 0;
      // What was added meanwhile may be among them.
      of.frames = [...stored, ...of.frames.filter(({ seq }) => seq > last)];
      of.bytes = of.frames.reduce((sum, { bytes }) => sum + bytes, 0);
      of.isLoaded = true;
      of.loadedMs = options.now();
    } catch (caught) {
      // The next frame tries again.
      options.onError("sizes of stored results not read", caught);
    } finally {
      of.loading = undefined;
    }
  };
  const load = (subject: string): Promise<void> => {
    const of = keptOf(subject);
    of.loading ??= read(subject, of);
    return of.loading;
  };
  const remove = async (subject: string, of: Kept, { count, seq }: { count: number; seq: number }) => {
    if (count === 0) return;
    for (const { bytes } of of.frames.splice(0, count)) of.bytes -= bytes;
    await options
      .purge(subject, seq)
      .catch((caught: unknown) => options.onError("results beyond the budget not removed", caught));
  };
  const isHeld = (tenant: string, { name }: Stream): boolean => options.groupsOf(tenant, name).length > 0;

  const trim = (subject: string, of: Kept, stream: Stream): void => {
    const budget = resultBytes(stream);
    if (of.bytes <= budget) return;
    const { count } = oldest(of.frames.slice(0, -1), of.bytes - budget * trimmed);
    const seq = of.frames[count]?.seq ?? 0;
    void remove(subject, of, { count, seq });
  };
  return {
    room: createResultRoom({
      ...options,
      isHeld,
      keptOf,
      load: async (subject) => {
        const of = keptOf(subject);
        if (!of.isLoaded || options.now() - of.loadedMs >= reloadMs) await load(subject);
        if (!of.isLoaded) throw new CodedError("unavailable", "results: what is stored is not known");
      },
      remove,
      oldest,
    }),
    stored: (tenant, { name }, id) => void kept.get(subjects.result(tenant, name))?.reserved.delete(id),
    ages: (tenant, stream) => !isHeld(tenant, stream),
    add: (tenant, stream, frame) => {
      const subject = subjects.result(tenant, stream.name);
      const of = keptOf(subject);
      of.frames.push(frame);
      of.bytes += frame.bytes;
      // Who holds room for groups removes only what they have settled.
      if (isHeld(tenant, stream)) return;
      if (of.isLoaded) trim(subject, of, stream);
      else void load(subject).then(() => trim(subject, of, stream));
    },
    drop: (tenant, name, seq) => {
      const of = kept.get(subjects.result(tenant, name));
      const at = of?.frames.findIndex((frame) => frame.seq === seq) ?? -1;
      if (of === undefined || at < 0) return;
      of.bytes -= of.frames[at]?.bytes ?? 0;
      of.frames.splice(at, 1);
    },
    forget: (tenant, name) => void kept.delete(subjects.result(tenant, name)),
    sweep: async (streams) => {
      for (const { tenant, stream } of streams) {
        const subject = subjects.result(tenant, stream.name);
        const of = keptOf(subject);
        if (!of.isLoaded) await load(subject);
        const bornMs = options.now() - resultAgeSeconds(stream) * 1_000;
        const old = of.frames.findIndex(({ timeMs }) => timeMs > bornMs);
        const count = old < 0 ? of.frames.length : old;
        if (count === 0) continue;
        const floor = isHeld(tenant, stream) ? await options.floorOf(tenant, stream.name) : undefined;
        const gone = of.frames.slice(0, count).filter(({ seq }) => floor === undefined || seq <= floor);
        const last = gone.at(-1)?.seq ?? 0;
        await remove(subject, of, { count: gone.length, seq: last + 1 });
      }
    },
  };
}

/** How many of the oldest make up so many bytes. */
function oldest(frames: readonly Frame[], bytes: number): { count: number } {
  let count = 0;
  for (let left = bytes; left > 0 && count < frames.length; count++) left -= frames[count]?.bytes ?? 0;
  return { count };
}
