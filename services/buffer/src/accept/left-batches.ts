import { CodedError, disposition } from "@millrace/errors";
import { decodeBatch } from "@millrace/envelope";
import type { Ledger } from "@millrace/messaging";
import type { Batch } from "@millrace/proto/batch";
import type { Acceptance } from "./acceptor.js";

/** A batch that a writer made durable in a leased segment and did not see accepted. */
export interface Left {
  id: string;
  bytes: Uint8Array;
}

export interface LeftBodies {
  pin(id: string): void;
  unpin(id: string, isReferred: boolean): Promise<void>;
}

export interface LeftBatchesOptions {
  /** `again`: also where the batch is known, since nobody watches its message any more. */
  accept(batch: Batch, from: { sender: string; again: boolean }): Promise<Acceptance>;
  /** Whether its source was framed anew meanwhile, so that all of it comes another way. */
  isOvertaken(batch: Batch): Promise<boolean>;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  log: Record<"warn" | "error", (sentence: string, fields: { id: string; code: string }) => void>;
}

export interface SourceOf {
  tenant: string;
  stream: string;
  source: string;
}

export interface LeftBatches {
  /** Resolves when each is accepted, or is nobody's any more; those of a full stream keep only each other. */
  take(left: readonly Left[], bodies: LeftBodies, again: boolean): Promise<void>;
  /**
   * Resolves when nothing of the source waits here: it must not resume before what it left. Errors:
   * `unavailable` when it still waits after 5 s.
   */
  untilTaken(of: SourceOf): Promise<void>;
  /** Batches that wait. */
  size(): number;
  /** Gives up what waits, for the next life to find. */
  stop(): Promise<void>;
}

/** Only ingestion leases segments. */
const sender = "ingestion";
/** Of a stream: one at a time, a thousand of them would take minutes of synced publishes. */
const inFlightMax = 32;
const retryMs = 1_000;
/** Well below the deadline of whoever asks. */
const takenWaitMs = 5_000;

/**
 * Accepts what writers left behind: killed before they offered it, or offered when their lease had ended. It
 * goes the way of every batch, so whoever offers it again under the same id gets the same answer.
 */
export function createLeftBatches(options: LeftBatchesOptions): LeftBatches {
  const { accept, isOvertaken: isLate, sleep, log } = options;
  const stopping = new AbortController();
  const running = new Set<Promise<void>>();
  /** Of each source that has something waiting: the ends of what was taken of its stream. */
  const bySource = new Map<string, Set<Promise<void>>>();
  let waiting = 0;

  const takeOne = async ({ id, bytes }: Left, bodies: LeftBodies, again: boolean): Promise<void> => {
    while (!stopping.signal.aborted) {
      bodies.pin(id);
      try {
        const batch = decodeBatch(bytes);
        if (await isLate(batch)) return await bodies.unpin(id, false);
        const { published } = await accept(batch, { sender, again });
        return await bodies.unpin(id, published !== undefined);
      } catch (caught) {
        const error = CodedError.from(caught, "accept a batch that was left");
        // Its stream is gone, or is not exempt any more and its source sends it again: nobody waits for it.
        if (error.code === "not_found" || error.code === "failed_precondition") {
          return await bodies.unpin(id, false);
        }
        if (disposition(error.code) !== "wait") {
          // Kept where it is, for somebody to look at; the others go on.
          log.error("batch that was left is refused", { id, code: error.code });
          return;
        }
        log.warn("batch that was left is not accepted, trying again", { id, code: error.code });
        await sleep(retryMs, stopping.signal);
      }
    }
  };
  const takeAll = async (left: readonly Left[], bodies: LeftBodies, again: boolean): Promise<void> => {
    for (let at = 0; at < left.length; at += inFlightMax) {
      const taking = left.slice(at, at + inFlightMax).map(async (one) => {
        await takeOne(one, bodies, again).catch((caught: unknown) =>
          log.error("body of a batch that was left is not freed", {
            id: one.id,
            code: CodedError.from(caught).code,
          }),
        );
        waiting -= 1;
      });
      await Promise.all(taking);
    }
  };
  const track = (ended: Promise<void>, sources: ReadonlySet<string>): void => {
    running.add(ended);
    for (const source of sources) {
      const others = bySource.get(source) ?? new Set();
      bySource.set(source, others.add(ended));
    }
    void ended.then(() => {
      running.delete(ended);
      for (const source of sources) {
        const others = bySource.get(source);
        others?.delete(ended);
        if (others?.size === 0) bySource.delete(source);
      }
    });
  };
  return {
    take: async (left, bodies, again) => {
      const ends = [...byStream(left).values()].map(({ batches, sources }) => {
        waiting += batches.length;
        const ended = takeAll(batches, bodies, again);
        track(ended, sources);
        return ended;
      });
      await Promise.all(ends);
    },
    untilTaken: async (of) => {
      const ends = bySource.get(keyOf(of));
      if (ends === undefined) return;
      const over = new AbortController();
      let isTaken = false;
      const taken = Promise.all(ends).then(() => {
        isTaken = !stopping.signal.aborted;
      });
      await Promise.race([taken, sleep(takenWaitMs, over.signal)]);
      over.abort();
      if (!isTaken) throw notTaken(of);
    },
    size: () => waiting,
    stop: async () => {
      stopping.abort();
      await Promise.all(running);
    },
  };
}

/**
 * Part of it is accepted, and batches are accepted as a whole: another holder of the source has framed it
 * anew from where it resumed, and reads the rest too.
 */
export const isOvertaken =
  (ledger: Pick<Ledger, "account">) =>
  async ({ header }: Batch): Promise<boolean> => {
    if (header === undefined) return false;
    const asked = { from: header.positionFrom, to: header.positionTo };
    const missing = (await ledger.account(header)).settled.missing(asked);
    const [first] = missing;
    return first !== undefined && (first.from !== asked.from || first.to !== asked.to);
  };

const keyOf = ({ tenant, stream, source }: SourceOf): string => `${tenant}/${stream}/${source}`;

function byStream(left: readonly Left[]): Map<string, { batches: Left[]; sources: Set<string> }> {
  const streams = new Map<string, { batches: Left[]; sources: Set<string> }>();
  for (const one of left) {
    const { tenant = "", stream = "", source = "" } = decodeBatch(one.bytes).header ?? {};
    const of = streams.get(`${tenant}/${stream}`) ?? { batches: [], sources: new Set() };
    of.batches.push(one);
    of.sources.add(keyOf({ tenant, stream, source }));
    streams.set(`${tenant}/${stream}`, of);
  }
  return streams;
}

function notTaken({ stream, source }: SourceOf): CodedError {
  const problem = `last position of source ${source}: what its earlier life left is not accepted yet`;
  return new CodedError("unavailable", problem, {
    subject: `stream:${stream}`,
    remedy: "Ask again. Where the stream is full, it goes on when its outputs catch up.",
    retryAfterMs: 500,
  });
}
