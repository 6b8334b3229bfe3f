/** How long a subscriber may hear nothing: long enough to cost nothing, within the usual 60 s of proxies. */
export const heartbeatMs = 15_000;

export interface Followed<Item> {
  /** Begins to read; ends when its signal is aborted. `heard` says that something was told past `onItem`. */
  open(signal: AbortSignal, heard: () => void): AsyncGenerator<Item>;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  now(): number;
  signal: AbortSignal;
  /** Whether anything was told: what a filter leaves out is silence to the caller. */
  onItem(item: Item): Promise<boolean>;
  /** Called when nothing came for `heartbeatMs`. */
  onSilence(): Promise<void>;
}

/**
 * Hands over items one by one, the next when the last one is dealt with, and tells silence. One timer for all
 * of them: items may come by the hundred a second.
 */
export async function followTail<Item>(followed: Followed<Item>): Promise<void> {
  const ended = new AbortController();
  const signal = AbortSignal.any([followed.signal, ended.signal]);
  const state = { heardAt: followed.now(), isBusy: false };
  let telling: Promise<void> | undefined;

  const tellSilence = async (): Promise<void> => {
    while (!signal.aborted) {
      const quietMs = state.isBusy ? 0 : followed.now() - state.heardAt;
      if (quietMs < heartbeatMs) {
        await followed.sleep(heartbeatMs - quietMs, signal);
        continue;
      }
      telling = followed.onSilence();
      await telling;
      telling = undefined;
      state.heardAt = followed.now();
    }
  };
  // An item that fails to be told ends it, and so does a silence.
  const watching = tellSilence().finally(() => ended.abort());
  watching.catch(() => undefined);
  try {
    const heard = (): void => void (state.heardAt = followed.now());
    for await (const item of followed.open(signal, heard)) {
      if (telling !== undefined) await telling.catch(() => undefined);
      if (signal.aborted) return;
      state.isBusy = true;
      const isHeard = await followed.onItem(item);
      state.isBusy = false;
      if (isHeard) heard();
    }
  } finally {
    ended.abort();
    await watching;
  }
}
