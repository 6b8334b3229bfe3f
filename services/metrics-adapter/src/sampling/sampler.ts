import { CodedError } from "@millrace/errors";
import type { Clock, Component, Logger } from "@millrace/runtime";

/*
 * One sampler for whoever asks:
 *
 *   idle ──asked──► busy: a sample each second ──nobody asked for 5 minutes──► idle: one each 10 s
 *
 * Who asks while the last sample is fresh is answered from it; who finds an older one waits for the next,
 * which is begun at once and shared by all that wait.
 */
export interface Sampler extends Component {
  /** Resolves when what was sampled may be read. Errors: `unavailable`, with why the last one failed. */
  ask(): Promise<void>;
}

export interface SamplerOptions {
  /** What is sampled, for errors. */
  what: string;
  take(): Promise<void>;
  clock: Clock;
  log: Logger;
  /** Between samples while nobody asks. Default 10 s. */
  idleMs?: number;
}

const busyMs = 1_000;
const idleMsDefault = 10_000;
const askedForMs = 5 * 60_000;
const freshMs = 1_500;
/** What is older is no answer. */
export const staleMs = 15_000;

export function createSampler(options: SamplerOptions): Sampler {
  const { what, clock, log } = options;
  const idleMs = options.idleMs ?? idleMsDefault;
  let isStopping = false;
  let isTaking = false;
  let isIdle = false;
  let askedAtMs = -Infinity;
  let takenAtMs = -Infinity;
  let why = "not sampled yet";
  let wake = new AbortController();
  let waiting: (() => void)[] = [];

  const takeOnce = async (): Promise<void> => {
    const begunMs = clock.monotonic();
    isTaking = true;
    try {
      await options.take();
      takenAtMs = begunMs;
    } catch (caught) {
      const sentence = CodedError.from(caught, `sample ${what}`).message;
      if (sentence !== why) log.warn("not sampled, trying again", { what, error: sentence });
      why = sentence;
    }
    isTaking = false;
  };
  const loop = async (): Promise<void> => {
    while (!isStopping) {
      wake = new AbortController();
      // Whoever comes while this sample is taken shares it.
      await takeOnce();
      const woken = waiting;
      waiting = [];
      for (const resolve of woken) resolve();
      isIdle = clock.monotonic() - askedAtMs >= askedForMs;
      await clock.sleep(isIdle ? idleMs : busyMs, wake.signal);
    }
    for (const resolve of waiting) resolve();
  };
  let running: Promise<void> | undefined;
  return {
    name: `sampler-${what}`,
    start: async () => {
      running = loop();
    },
    stop: async () => {
      isStopping = true;
      wake.abort();
      await running;
    },
    ask: async () => {
      askedAtMs = clock.monotonic();
      if (isIdle && !isTaking) wake.abort();
      if (askedAtMs - takenAtMs > freshMs && running !== undefined && !isStopping) {
        await new Promise<void>((resolve) => {
          waiting.push(resolve);
          if (!isTaking) wake.abort();
        });
      }
      if (clock.monotonic() - takenAtMs <= staleMs) return;
      throw new CodedError("unavailable", `${what} is unknown: ${why}`);
    },
  };
}
