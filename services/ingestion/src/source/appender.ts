import { CodedError } from "@millrace/errors";
import type { OpenBatch } from "@millrace/envelope";
import type { Clock, Component } from "@millrace/runtime";
import type { LeasedWriter } from "@millrace/segments";
import type { Fence } from "@millrace/proto/buffer";
import type { BufferClient } from "./buffer-client.js";

/** Makes batches durable and hands them to buffer, which frames, counts and publishes them. */
export interface Appender extends Component {
  append(open: OpenBatch, fence: Fence | undefined): Promise<void>;
}

const beatMs = 1_000;
/** Each time under a new lease. More often, and it is not the lease. */
const triesMax = 5;

export function createAppender(
  buffer: Pick<BufferClient, "appendEncoded">,
  bodies: LeasedWriter,
  { clock, side }: { clock: Pick<Clock, "sleep">; side: string },
): Appender {
  const stopping = new AbortController();
  let beating: Promise<void> | undefined;
  const beat = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await bodies.beat();
      await clock.sleep(beatMs, stopping.signal);
    }
  };
  const tryOnce = async (
    { open, fence }: { open: OpenBatch; fence: Fence | undefined },
    isLast: boolean,
  ): Promise<boolean> => {
    const { id, bytes } = await bodies.place(open);
    try {
      await buffer.appendEncoded(bytes, fence);
      bodies.settled(id);
      return true;
    } catch (caught) {
      const error = CodedError.from(caught, "append to buffer");
      if (error.code !== "failed_precondition") throw error;
      if (error.field === "lease" && !isLast) {
        bodies.leaseEnded(id);
        return false;
      }
      // It will not be offered again as it is.
      bodies.settled(id);
      throw error;
    }
  };
  return {
    name: `appender ${side}`,
    start: async () => {
      beating = beat();
    },
    stop: async () => {
      stopping.abort();
      await beating;
      await bodies.close();
    },
    append: async (open, fence) => {
      for (let tries = 1; !(await tryOnce({ open, fence }, tries >= triesMax)); ) tries += 1;
    },
  };
}
