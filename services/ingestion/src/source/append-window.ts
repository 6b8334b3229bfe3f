import { AssertionError, CodedError, disposition, present } from "@millrace/errors";

/**
 * Keeps several appends of one file in flight and in order.
 *
 *            push             answered              all before it settled
 *   caller ───────► in flight ────────► settled ─────────────────────────► gone (onSettled)
 *                    ▲    │ refused
 *         in order,  │    ▼
 *         after the  └── held     while one is held nothing is sent: all that is in flight comes back first,
 *         pause                   then the held ones go out again, the oldest first, with the same bytes
 */
export interface AppendWindow {
  /** Sends an item once there is room. Throws `canceled` after an abort; the item is released in any case. */
  push(item: WindowItem): Promise<void>;
  /** Waits until everything is settled, or after an abort until nothing is in flight. */
  drain(): Promise<void>;
}

export interface WindowItem {
  positionTo: number;
  send(): Promise<void>;
  release(): void;
}

export interface Timers {
  /** Milliseconds since any fixed moment. */
  now(): number;
  /** Ends after a time; at once, resolved or rejected, when the signal is or becomes aborted. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Uniform in [0, 1). */
  random(): number;
}

export interface RetryPolicy {
  /** First pause when what we depend on is full or away; it doubles up to `lastMs`. */
  firstMs: number;
  lastMs: number;
  /** Pause after an error that waiting is not known to cure. */
  slowMs: number;
}

export const defaultRetryPolicy: RetryPolicy = { firstMs: 100, lastMs: 5_000, slowMs: 30_000 };

/**
 * Full or away, or stopped in the middle: the same call is expected to succeed later, and nothing has failed.
 */
export function isWaiting(error: CodedError): boolean {
  return disposition(error.code) === "wait" || error.code === "canceled";
}

/** The pause before attempt number `attempt` + 1 (from 0), jittered between half and all of it. */
export function pauseMs(
  error: CodedError,
  attempt: number,
  options: { retry: RetryPolicy; timers: Timers },
): number {
  const { retry, timers } = options;
  const fullMs = isWaiting(error)
    ? Math.min(retry.firstMs * 2 ** Math.min(attempt, 30), retry.lastMs)
    : retry.slowMs;
  return Math.max(error.retryAfterMs ?? 0, fullMs * (0.5 + timers.random() / 2));
}

export interface WindowOptions {
  inFlightMax: number;
  retry: RetryPolicy;
  timers: Timers;
  signal: AbortSignal;
  /** An append was refused and will be sent again; undefined when appends go through again. */
  onBlocked(error: CodedError | undefined): void;
  /** Everything before this position is settled. */
  onSettled(positionTo: number): void;
}

interface Entry {
  item: WindowItem;
  state: "held" | "inFlight" | "settled";
}

export function createAppendWindow(options: WindowOptions): AppendWindow {
  return new OrderedWindow(options);
}

class OrderedWindow implements AppendWindow {
  readonly #options: WindowOptions;
  /** Not gone yet, the oldest first; at most `inFlightMax`. */
  readonly #entries: Entry[] = [];
  readonly #waiters: (() => void)[] = [];
  #inFlight = 0;
  /** Refusals without a success between them. */
  #attempt = 0;
  /** What was refused since the last pause; the error that waiting doesn't cure, if there is one. */
  #refusal: CodedError | undefined;
  #isBlocked = false;
  #isRecovering = false;

  constructor(options: WindowOptions) {
    this.#options = options;
  }

  async push(item: WindowItem): Promise<void> {
    const { inFlightMax, signal } = this.#options;
    while (this.#entries.length >= inFlightMax && !signal.aborted) await this.#change();
    if (signal.aborted) {
      item.release();
      throw new CodedError("canceled", "the file source is closing");
    }
    const entry: Entry = { item, state: "held" };
    this.#entries.push(entry);
    if (!this.#isRecovering) void this.#start(entry);
  }

  async drain(): Promise<void> {
    const { signal } = this.#options;
    while (signal.aborted ? this.#inFlight > 0 || this.#isRecovering : this.#entries.length > 0) {
      await this.#change();
    }
    for (const { item, state } of this.#entries.splice(0)) if (state === "held") item.release();
  }

  async #start(entry: Entry): Promise<void> {
    entry.state = "inFlight";
    this.#inFlight++;
    try {
      await entry.item.send();
      this.#settle(entry);
    } catch (caught) {
      // A mistake of ours ends the process; sending it again would hide it.
      if (caught instanceof AssertionError) throw caught;
      const error = CodedError.from(caught, "appending to buffer");
      if (disposition(error.code) === "done") this.#settle(entry);
      else this.#hold(entry, error);
    }
    this.#inFlight--;
    this.#notify();
  }

  #settle(entry: Entry): void {
    const entries = this.#entries;
    entry.state = "settled";
    entry.item.release();
    this.#attempt = 0;
    for (let first = entries[0]; first?.state === "settled"; first = entries[0]) {
      this.#options.onSettled(first.item.positionTo);
      entries.shift();
    }
    if (this.#isBlocked && !this.#isRecovering) {
      this.#isBlocked = false;
      this.#options.onBlocked(undefined);
    }
  }

  #hold(entry: Entry, error: CodedError): void {
    entry.state = "held";
    if (this.#refusal === undefined || isWaiting(this.#refusal)) this.#refusal = error;
    this.#isBlocked = true;
    this.#options.onBlocked(this.#refusal);
    if (!this.#isRecovering) void this.#recover();
  }

  async #recover(): Promise<void> {
    const { retry, timers, signal } = this.#options;
    this.#isRecovering = true;
    while (this.#inFlight > 0) await this.#change();
    const refusal = present(this.#refusal, "the refusal to recover from");
    this.#refusal = undefined;
    if (!signal.aborted) {
      // An abort ends the sleep; whether it throws then is the timer's matter.
      await timers.sleep(pauseMs(refusal, this.#attempt++, { retry, timers }), signal).catch(() => undefined);
    }
    this.#isRecovering = false;
    if (!signal.aborted) {
      for (const entry of this.#entries) if (entry.state === "held") void this.#start(entry);
    }
    this.#notify();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #notify(): void {
    for (const waiter of this.#waiters.splice(0)) waiter();
  }
}
