import { CodedError } from "@millrace/errors";
import type { Runtime } from "@millrace/runtime";

/** How a handler says that it takes long for a reason. */
export interface Pace {
  /** It came further, or what it is queued behind did: its longest time begins anew. */
  goesOn(): void;
  /** Meanwhile no time counts: for what may be away for as long as it likes, such as a disk. */
  waits<T>(work: Promise<T>): Promise<T>;
  /** Work in another process: meanwhile its turn among the lanes goes to others. */
  aside<T>(work: Promise<T>): Promise<T>;
  /** Told: the batch may have been worked on before, by a process that is gone. */
  isRedelivered?: boolean;
}

/** Where nobody looks at the time. */
export const noPace: Pace = { goesOn: () => undefined, waits: (work) => work, aside: (work) => work };

/** Looks until the longest time is over. They are counted, so that a pause of the process is one look. */
const looksMax = 12;

/**
 * Ends the process, as the watchdog does, when a handler neither returned nor went on for `handlingMsMax`:
 * one that awaits for ever would keep its delivery, and with others of its kind the stage, for good. The
 * batch comes again and is tried alone then, which finds the message.
 */
export async function handleInTime<T>(
  { clock, handlingMsMax, kill }: Pick<Runtime, "clock" | "handlingMsMax" | "kill">,
  what: string,
  handle: (pace: Pace) => Promise<T>,
): Promise<T> {
  const done = new AbortController();
  let looks = 0;
  let waiting = 0;
  const watch = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(handlingMsMax / looksMax, done.signal);
      if (done.signal.aborted) return;
      if (waiting === 0) looks += 1;
      if (looks >= looksMax) break;
    }
    kill(new CodedError("deadline_exceeded", `handle ${what}: no end within ${handlingMsMax} ms`));
  };
  void watch();
  const goesOn = (): void => {
    // The next look comes before its time is over: it does not count.
    looks = -1;
  };
  try {
    return await handle({
      goesOn,
      aside: (work) => work,
      waits: async (work) => {
        waiting += 1;
        try {
          return await work;
        } finally {
          waiting -= 1;
          goesOn();
        }
      },
    });
  } finally {
    done.abort();
  }
}
