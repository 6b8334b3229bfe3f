/*
 * How many tries a target gets at a time:
 *
 *   well ──failed──► failing ──done──► well
 *
 * Failing: one at a time, and a pause before each that doubles, up to a minute.
 */
export interface TargetGate {
  /** Resolves when a try may begin, which has a place until it is told how it went; false: at the signal. */
  enter(signal: AbortSignal): Promise<boolean>;
  done(): void;
  /** `atLeastMs`: what the target asks for. */
  failed(atLeastMs: number): void;
  /** Gives the place back without a verdict. */
  leave(): void;
  isFailing(): boolean;
}

export interface GateOptions {
  monotonic(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Of the number of failures in a row. */
  pauseMs(failures: number): number;
}

/** Tries at a time of a target that is well. */
const placesMax = 8;

export function createTargetGate({ monotonic, sleep, pauseMs }: GateOptions): TargetGate {
  let taken = 0;
  let failures = 0;
  let notBefore = 0;
  let changed = new AbortController();
  const change = (): void => {
    const before = changed;
    changed = new AbortController();
    before.abort();
  };
  const release = (): void => {
    taken -= 1;
    change();
  };
  return {
    enter: async (signal) => {
      while (!signal.aborted) {
        const waitMs = failures === 0 ? 0 : notBefore - monotonic();
        if (waitMs <= 0 && taken < (failures === 0 ? placesMax : 1)) {
          taken += 1;
          return true;
        }
        // Woken by a change, or when the pause is over.
        await sleep(waitMs > 0 ? waitMs : idleMs, AbortSignal.any([signal, changed.signal]));
      }
      return false;
    },
    done: () => {
      failures = 0;
      release();
    },
    failed: (atLeastMs) => {
      const now = monotonic();
      // Those that were under way when the first one failed say nothing new.
      if (failures === 0 || now >= notBefore) failures += 1;
      notBefore = Math.max(notBefore, now + Math.max(pauseMs(failures), atLeastMs));
      release();
    },
    leave: release,
    isFailing: () => failures > 0,
  };
}

/** Only a change ends it sooner. */
const idleMs = 60_000;
