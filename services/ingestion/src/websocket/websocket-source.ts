import { deriveId, limits } from "@millrace/envelope";
import { AssertionError, CodedError } from "@millrace/errors";
import {
  createAppendWindow,
  isWaiting,
  pauseMs,
  type RetryPolicy,
  type Timers,
} from "../source/append-window.js";
import type { SourceGap } from "../source/source-gaps.js";
import type { SourceContext, SourceReader, SourceReaderStatus } from "../source/source-reader.js";
import { type Connection, connection, type ConnectionOptions } from "./connection.js";
import { lastValue, type ResumeFrame, resumeFrame } from "./resume-frame.js";
import { createRowQueue, type Portion, rowBatch } from "./row-queue.js";

/**
 * Keeps one WebSocket open and appends what comes.
 *
 *   resolving ─► connecting ─► open: subscribe frames, then messages ─► lost
 *       ▲                                                                 │ pause: soon if waiting cures it,
 *       └─────────────────────────────────────────────────────────────────┘ slowly if somebody must act
 *
 * A socket can't be asked for the same again. So little is held that is not durable: one batch on its way,
 * one that forms, and what the socket has read by the time it is paused. What is lost with a connection is
 * told as a gap. Positions count the messages of this reader: another reader of the same source, after a
 * fail-over, has a key of its own, so that a late append of an earlier one meets nobody's positions.
 */
export interface WebsocketSourceOptions extends Timers {
  context: SourceContext;
  sourceId: string;
  /** Tells this reader from all others of the source. */
  epoch: string;
  /** Resolves and checks the host, reads the secrets: what may have changed since the last connection. */
  prepare(): Promise<Prepared>;
  resume: ResumeFrame | undefined;
  pingIntervalMs: number;
  wallClock(): number;
  /** Until when all that came was durable, as its last reader said; undefined: there was none. */
  completeTo(): Promise<number | undefined>;
  /** Told until it succeeds. */
  tellGap(gap: SourceGap): Promise<void>;
  retry?: RetryPolicy;
}

export interface Prepared
  extends Pick<ConnectionOptions, "url" | "lookup" | "ca" | "headers" | "subprotocols" | "pingFrame"> {
  /** Frames that are sent when the connection is open, in this order. */
  subscribe: readonly string[];
}

const retryPolicy: RetryPolicy = { firstMs: 500, lastMs: 30_000, slowMs: 60_000 };
/** A connection that held for so long was a good one: the next pause is short again. */
const stableMs = 10_000;
/** What was received is still appended when the source is closed, unless that takes longer. */
const flushMsMax = 5_000;
const keptBytesMax = 64 * 1024;
const earlierReader = "its reader before this one ended: a restart, a fail-over, a pause or another setting";

export function createWebsocketSource(options: WebsocketSourceOptions): SourceReader {
  return new WebsocketReader(options);
}

class WebsocketReader implements SourceReader {
  readonly #options: WebsocketSourceOptions;
  readonly #retry: RetryPolicy;
  readonly #key: string;
  /** Aborted: connects no more, and what is open ends. */
  readonly #stop = new AbortController();
  /** Aborted: what is not appended by now is given up. */
  readonly #giveUp = new AbortController();
  readonly #queue;
  #connection: Connection | undefined;
  #isPaused = false;
  #wakeAppender: (() => void) | undefined;
  #next = 0;
  #settledTo = 0;
  /** The last value of the resume field in what is durable. */
  #cursor: string | undefined;
  #wasOpen = false;
  #isEarlierKnown = false;
  /** When the batch came that is on its way. */
  #sentMs: number | undefined;
  /** Since then the socket has been paused, and what came meanwhile may still lie in it. */
  #behindSinceMs: number | undefined;
  #lost: { fromMs: number; reason: string } | undefined;
  #connectionError: CodedError | undefined;
  #appendError: CodedError | undefined;
  #telling: Promise<void> = Promise.resolve();
  /** Where the gaps begin that are not told yet: a kill must not lose them, so no more counts as complete. */
  #untoldFromMs: number[] = [];
  #running: Promise<unknown> | undefined;

  constructor(options: WebsocketSourceOptions) {
    this.#options = options;
    this.#retry = options.retry ?? retryPolicy;
    const { tenant, stream, source } = options.context;
    const owner = `${stream.name}/${stream.createdMs}`;
    this.#key = deriveId("source", tenant, owner, "websocket", source.id, options.epoch);
    this.#queue = createRowQueue(stream.batchSize);
  }

  start(): void {
    this.#running ??= Promise.all([this.#connect(), this.#append()]);
  }

  status(): SourceReaderStatus {
    const errors = [this.#connectionError, this.#appendError].filter((error) => error !== undefined);
    const failed = errors.find((error) => !isWaiting(error));
    const going = errors.length > 0 || this.#connection === undefined ? "waiting" : "running";
    return {
      state: failed === undefined ? going : "failed",
      position: `${this.#settledTo} messages since it was opened here`,
      lastError: (failed ?? errors[0])?.toString(),
      ...(this.#connection !== undefined && { completeToMs: this.#completeToMs() }),
    };
  }

  #completeToMs(): number {
    const { wallClock } = this.#options;
    const durableMs = this.#behindSinceMs ?? this.#sentMs ?? this.#queue.oldestMs ?? wallClock();
    return Math.round(Math.min(durableMs, ...this.#untoldFromMs));
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#wakeAppender?.();
    const flushed = new AbortController();
    const late = this.#options.sleep(flushMsMax, flushed.signal).catch(() => undefined);
    void late.then(() => {
      this.#giveUp.abort();
      this.#wakeAppender?.();
    });
    await this.#running;
    flushed.abort();
    await late;
    await this.#telling;
  }

  async #connect(): Promise<void> {
    const { signal } = this.#stop;
    for (let attempt = 0; !signal.aborted; attempt++) {
      const startedMs = this.#options.now();
      const error = await this.#connectOnce(signal);
      if (signal.aborted) return;
      if (this.#wasOpen) this.#lost ??= { fromMs: this.#options.wallClock(), reason: error.message };
      this.#connectionError = error;
      if (this.#options.now() - startedMs > stableMs) attempt = 0;
      const pause = pauseMs(error, attempt, { retry: this.#retry, timers: this.#options });
      await this.#options.sleep(pause, signal).catch(() => undefined);
    }
  }

  async #connectOnce(signal: AbortSignal): Promise<CodedError> {
    const { pingIntervalMs, sleep } = this.#options;
    try {
      if (!this.#isEarlierKnown) {
        const fromMs = await this.#options.completeTo();
        this.#isEarlierKnown = true;
        if (fromMs !== undefined) this.#lost = { fromMs, reason: earlierReader };
      }
      const prepared = await this.#options.prepare();
      if (signal.aborted) return new CodedError("canceled", "the source is closing");
      return await connection(
        {
          ...prepared,
          pingIntervalMs,
          sleep: (ms, until) => sleep(ms, until).catch(() => undefined),
          onOpen: (opened) => this.#opened(opened, prepared.subscribe),
          onMessage: (data, isBinary) => this.#received(data, isBinary),
        },
        signal,
      );
    } catch (caught) {
      if (caught instanceof AssertionError) throw caught;
      return CodedError.from(caught, "open the connection");
    } finally {
      this.#connection = undefined;
    }
  }

  #opened(opened: Connection, subscribe: readonly string[]): void {
    this.#connection = opened;
    this.#connectionError = undefined;
    this.#wasOpen = true;
    for (const frame of subscribe) opened.send(frame);
    const { resume } = this.#options;
    const isResumed = resume !== undefined && this.#cursor !== undefined;
    if (isResumed) opened.send(resumeFrame(resume, this.#cursor ?? ""));
    if (this.#isPaused) opened.pause();
    const lost = this.#lost;
    this.#lost = undefined;
    if (lost === undefined) return;
    const gap = { ...lost, toMs: this.#options.wallClock(), resumed: isResumed };
    this.#untoldFromMs.push(gap.fromMs);
    this.#telling = this.#telling.then(() => this.#tell(gap));
  }

  async #tell(gap: SourceGap): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#options.tellGap(gap);
        this.#untoldFromMs.shift();
        return;
      } catch (caught) {
        if (this.#stop.signal.aborted) return;
        const error = CodedError.from(caught, "tell of a gap");
        const pause = pauseMs(error, attempt, { retry: this.#retry, timers: this.#options });
        await this.#options.sleep(pause, this.#stop.signal).catch(() => undefined);
      }
    }
  }

  #received(data: Buffer, isBinary: boolean): void {
    this.#queue.add({ data, isText: !isBinary, timeMs: this.#options.wallClock() });
    if (this.#queue.isFull && !this.#isPaused) {
      this.#isPaused = true;
      this.#behindSinceMs ??= this.#options.wallClock();
      this.#connection?.pause();
    }
    this.#wakeAppender?.();
  }

  /** While one batch is on its way the next one forms, so that batches grow with what comes. */
  async #append(): Promise<void> {
    const { signal } = this.#giveUp;
    const window = createAppendWindow({
      inFlightMax: 1,
      retry: this.#retry,
      timers: this.#options,
      signal,
      onBlocked: (error) => {
        this.#appendError = error;
      },
      onSettled: (positionTo) => {
        this.#settledTo = positionTo;
      },
    });
    while (!signal.aborted) {
      await window.drain();
      this.#sentMs = undefined;
      const portion = this.#queue.take();
      if (portion === undefined) {
        this.#behindSinceMs = undefined;
        if (this.#stop.signal.aborted) break;
        await new Promise<void>((resolve) => (this.#wakeAppender = resolve));
        continue;
      }
      if (this.#isPaused && !this.#queue.isFull) {
        this.#isPaused = false;
        this.#connection?.resume();
      }
      this.#sentMs = portion.rows[0]?.timeMs;
      await window.push(this.#itemOf(portion)).catch(() => undefined);
    }
    await window.drain();
  }

  #itemOf(portion: Portion) {
    const { context, sourceId, resume } = this.#options;
    const { tenant, stream } = context;
    const from = this.#next;
    this.#next += portion.rows.length;
    const origin = { tenant, stream, key: this.#key, sourceId };
    const send = async (): Promise<void> => {
      if (portion.isOversize) await context.reject(this.#rejected(portion, from));
      else await context.append(rowBatch(origin, portion.rows, from));
      if (resume !== undefined) this.#cursor = lastValue(resume, portion.rows) ?? this.#cursor;
    };
    return { positionTo: this.#next, send, release: () => undefined };
  }

  #rejected({ rows, bytes }: Portion, from: number) {
    const { context, sourceId } = this.#options;
    const origin = { tenant: context.tenant, stream: context.stream, key: this.#key, sourceId };
    const kept = rows.map((row) => ({ ...row, data: row.data.subarray(0, keptBytesMax) }));
    return {
      batch: rowBatch(origin, kept, from),
      code: "invalid_argument" as const,
      reason: `message above the limit of ${limits.messageBytesMax} bytes`,
      truncatedBytes: bytes - Math.min(bytes, keptBytesMax),
    };
  }
}
