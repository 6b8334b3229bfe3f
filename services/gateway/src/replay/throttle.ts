/** Lets through so much a second, without saving up what was not used. */
export interface Throttle {
  /** Resolves when that much may go; at once, whatever the time, when the signal is aborted. */
  pass(messages: number, bytes: number, signal: AbortSignal): Promise<void>;
}

export interface ThrottleOptions {
  /** 0: no bound. */
  messagesPerSecond: number;
  bytesPerSecond: number;
  /** Milliseconds since any fixed moment. */
  now(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export function createThrottle(options: ThrottleOptions): Throttle {
  const { messagesPerSecond, bytesPerSecond, now, sleep } = options;
  let dueMs = now();
  const costMs = (amount: number, perSecond: number): number =>
    perSecond === 0 ? 0 : (amount / perSecond) * 1_000;
  return {
    pass: async (messages, bytes, signal) => {
      const waitMs = dueMs - now();
      if (waitMs > 0) await sleep(waitMs, signal);
      dueMs =
        Math.max(dueMs, now()) + Math.max(costMs(messages, messagesPerSecond), costMs(bytes, bytesPerSecond));
    },
  };
}
