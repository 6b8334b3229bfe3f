/** How long a subscriber may hear nothing: long enough to cost nothing, within the usual 60 s of proxies. */
export const heartbeatMs = 15_000;

export interface Followed<Item> {
  /** Begins to read; ends when its signal is aborted. */
  open(signal: AbortSignal): AsyncGenerator<Item>;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  signal: AbortSignal;
  onItem(item: Item): Promise<void>;
  /** Called when nothing came for `heartbeatMs`. */
  onSilence(): Promise<void>;
}

/** Hands over items one by one, the next when the last one is dealt with, and tells silence. */
export async function followTail<Item>(followed: Followed<Item>): Promise<void> {
  const ended = new AbortController();
  const signal = AbortSignal.any([followed.signal, ended.signal]);
  const items = followed.open(signal);
  const aborted = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
  let next = items.next();
  try {
    while (!signal.aborted) {
      const waited = new AbortController();
      const silence = followed.sleep(heartbeatMs, AbortSignal.any([waited.signal, signal]));
      const arrived = await Promise.race([next, silence.then(() => undefined), aborted]);
      waited.abort();
      if (signal.aborted) return;
      if (arrived === undefined) {
        await followed.onSilence();
      } else {
        if (arrived.done === true) return;
        await followed.onItem(arrived.value);
        next = items.next();
      }
    }
  } finally {
    ended.abort();
    await next.catch(() => undefined);
    await items.return(undefined);
  }
}
