import { CodedError } from "@millrace/errors";
import type { LeaseKey } from "@millrace/messaging";
import type { Fence } from "@millrace/proto/buffer";

export interface Fenced {
  tenant: string;
  stream: string;
  fence: Fence | undefined;
}

/**
 * Lets only the latest holder of a source send, as the lease's epoch says: one that was stopped and comes
 * back finds itself refused, before its batch could come twice or out of order.
 */
export interface Fences {
  /**
   * Does the work under the fence; as it comes where there is none. Errors: `failed_precondition`, field
   * `fence`, when the source has a later holder.
   */
  under<T>(of: Fenced, work: () => Promise<T>): Promise<T>;
  /**
   * Resolves when nothing of earlier holders is under way any more, and nothing can come. Errors as of
   * `under`, and `unavailable` when something still is after 5 s.
   */
  raise(of: Fenced): Promise<void>;
}

export interface FencesOptions {
  /** As LEASES says: a later holder may have spoken to another buffer, or to an earlier life of this one. */
  epochOf(of: LeaseKey): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

interface State {
  epoch: number;
  /** What is under way, with its epoch. */
  running: Map<Promise<unknown>, number>;
}

/** Well below the deadline of whoever asks. */
const raiseWaitMs = 5_000;

export function createFences({ epochOf, sleep }: FencesOptions): Fences {
  const states = new Map<string, State>();

  const enter = ({ tenant, stream }: Fenced, { source, epoch }: Fence): State => {
    const key = `${tenant}.${stream}.${source}`;
    const state = states.get(key) ?? { epoch: 0, running: new Map<Promise<unknown>, number>() };
    states.set(key, state);
    if (epoch < Math.max(state.epoch, epochOf({ tenant, stream, id: source }))) throw refused(source);
    state.epoch = Math.max(state.epoch, epoch);
    return state;
  };

  return {
    under: async (of, work) => {
      if (of.fence === undefined) return work();
      const { running } = enter(of, of.fence);
      const doing = work();
      running.set(doing, of.fence.epoch);
      try {
        return await doing;
      } finally {
        running.delete(doing);
      }
    },
    raise: async (of) => {
      if (of.fence === undefined) return;
      const { epoch } = of.fence;
      const { running } = enter(of, of.fence);
      const earlier = [...running].filter(([, theirs]) => theirs < epoch).map(([doing]) => doing);
      if (earlier.length === 0) return;
      const over = new AbortController();
      let isOver = false;
      const ended = Promise.allSettled(earlier).then(() => {
        isOver = true;
      });
      await Promise.race([ended, sleep(raiseWaitMs, over.signal)]);
      over.abort();
      if (isOver) return;
      throw new CodedError("unavailable", "last position: an earlier holder's batches are still under way", {
        retryAfterMs: 500,
      });
    },
  };
}

function refused(source: string): CodedError {
  return new CodedError("failed_precondition", `source ${source} has a later holder`, {
    field: "fence",
    remedy: "Stop reading it until its lease is yours again.",
  });
}
