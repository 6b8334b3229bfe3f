import { CodedError } from "@millrace/errors";
import type { KafkaRecords } from "@millrace/kafka";
import {
  type AppendWindow,
  createAppendWindow,
  pauseMs,
  type RetryPolicy,
  type Timers,
} from "../source/append-window.js";
import type { SourceContext } from "../source/source-reader.js";
import type { RecordOrigin } from "./record-columns.js";
import { type CutLimits, RecordQueue } from "./record-queue.js";

export interface PartitionReaderOptions {
  origin: RecordOrigin;
  context: Pick<SourceContext, "append" | "reject" | "lastPosition">;
  cut: CutLimits;
  appendsInFlightMax: number;
  retry: RetryPolicy;
  timers: Timers;
  /** Where the group says that it begins. */
  from: number;
  high: number;
  /** Outputs are followed, so what buffer has is read again, to find what never comes to an output. */
  isFollowed: boolean;
  /** Aborted when the partition is not ours any more. */
  signal: AbortSignal;
  /** Bytes that are held, more or fewer. */
  onHeld(bytes: number): void;
}

/**
 * One partition of one assignment, from records to durable positions:
 *
 *   begin: max(committed, what buffer has) ─► add ─► queue ─► window of appends ─► durableTo
 *                                                      └─ refused ─► dead letter ─► gap
 */
export class PartitionReader {
  readonly #options: PartitionReaderOptions;
  readonly #queue: RecordQueue;
  readonly #window: AppendWindow;
  #sending: Promise<void> | undefined;
  /** What keeps it from going on; undefined: nothing. */
  blocked: CodedError | undefined;
  /** All before it is durable. */
  durableTo: number;
  /** Where the partition ends, as far as was heard. */
  high: number;
  /** Intervals that never come to an output: offsets without a record, and refused ones. */
  readonly gaps = new Map<number, number>();
  #heardTo: number;

  constructor(options: PartitionReaderOptions) {
    const { origin, cut, appendsInFlightMax, retry, timers, signal } = options;
    this.#options = options;
    this.durableTo = options.from;
    this.#heardTo = options.from;
    this.high = options.high;
    this.#queue = new RecordQueue(origin, cut);
    this.#window = createAppendWindow({
      inFlightMax: appendsInFlightMax,
      retry,
      timers,
      signal,
      onBlocked: (error) => {
        this.blocked = error;
      },
      onSettled: (positionTo) => {
        this.durableTo = positionTo;
      },
    });
  }

  /** Where the group was when it got the partition. */
  get from(): number {
    return this.#options.from;
  }

  get key(): string {
    return this.#options.origin.key;
  }

  /** Where to begin: what buffer has of an earlier life need not be read again. */
  async resume(): Promise<number> {
    const { context, from, retry, timers, signal } = this.#options;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const position = await context.lastPosition(this.key, from);
        this.blocked = undefined;
        this.durableTo = Math.max(from, position);
        this.#heardTo = this.#options.isFollowed ? from : this.durableTo;
        return this.#heardTo;
      } catch (caught) {
        this.blocked = CodedError.from(caught, "asking buffer where to resume");
        const pause = pauseMs(this.blocked, attempt, { retry, timers });
        await timers.sleep(pause, signal).catch(() => undefined);
      }
    }
    throw new CodedError("canceled", "the partition is not ours any more");
  }

  add(records: KafkaRecords): void {
    const { signal, onHeld } = this.#options;
    this.high = Math.max(this.high, records.high);
    if (signal.aborted || records.count === 0) return;
    const first = records.offset(0);
    if (first > this.#heardTo) this.gaps.set(this.#heardTo, first);
    this.#heardTo = records.nextOffset;
    onHeld(this.#queue.add(records));
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined;
    });
  }

  /** What is on its way has come back; nothing leaves any more once the signal is aborted. */
  async settled(): Promise<void> {
    await this.#sending;
    await this.#window.drain();
  }

  async #send(): Promise<void> {
    const { context, signal, onHeld } = this.#options;
    const knownTo = this.durableTo;
    while (!this.#queue.isEmpty() && !signal.aborted) {
      const { batch, refusal, truncatedBytes, bytes } = this.#queue.cut(knownTo);
      const { positionFrom, positionTo } = batch.header;
      if (refusal !== undefined) this.gaps.set(positionFrom, positionTo);
      if (positionTo <= knownTo) {
        onHeld(-bytes);
        continue;
      }
      const send = (): Promise<void> =>
        refusal === undefined
          ? context.append(batch)
          : context.reject({ batch, code: "invalid_argument", reason: refusal, truncatedBytes });
      const item = { positionTo, send, release: () => onHeld(-bytes) };
      // Canceled: it will be read again, by whoever has the partition then.
      await this.#window.push(item).catch(() => undefined);
    }
  }
}
