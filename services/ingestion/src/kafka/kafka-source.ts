import { CodedError } from "@millrace/errors";
import type { KafkaAssignment, KafkaConnection, KafkaConsumer, KafkaDriver } from "@millrace/kafka";
import { sourceKey } from "@millrace/envelope";
import {
  defaultRetryPolicy,
  isWaiting,
  pauseMs,
  type RetryPolicy,
  type Timers,
} from "../source/append-window.js";
import type { SourceContext, SourceReader, SourceReaderStatus } from "../source/source-reader.js";
import { Assignment } from "./assignment.js";
import { PartitionReader } from "./partition-reader.js";
import type { CutLimits } from "./record-queue.js";

/** How far all outputs of the stream are with a partition. */
export interface OutPrefix {
  /** Told of a key before it is asked, until the signal is aborted. */
  follow(key: string, signal: AbortSignal): void;
  /** The end of the run from a position on that all have settled, over the gaps. */
  to(key: string, of: { from: number; gaps: ReadonlyMap<number, number> }): number;
}

export interface KafkaSourceOptions {
  context: SourceContext;
  loadDriver(): Promise<KafkaDriver>;
  /** With its secrets as they are now: asked again for each connection. */
  connect(): Promise<KafkaConnection>;
  topic: string;
  group: string;
  start: "earliest" | "latest";
  sourceId: string;
  /** Tells how far the outputs are; undefined: what is durable may be committed. */
  out: OutPrefix | undefined;
  cut: CutLimits;
  appendsInFlightMax: number;
  /** Records that are read and not durable. */
  bytesInFlightMax: number;
  sessionTimeoutMs: number;
  commitIntervalMs: number;
  timers: Timers;
  retry?: RetryPolicy;
}

/** How often the ends of partitions are asked for, which tell how much waits. */
const endsIntervalMs = 5_000;
/** Partitions that a status names. */
const shownMax = 16;

/** Reads a topic as a member of a consumer group; joins again, in its own time, whatever ends it. */
export function createKafkaSource(options: KafkaSourceOptions): SourceReader {
  return new KafkaSource(options);
}

interface OpenedPartition {
  key: string;
  from: number;
  high: number;
  signal: AbortSignal;
  onHeld(bytes: number): void;
}

class KafkaSource implements SourceReader {
  readonly #options: KafkaSourceOptions;
  readonly #closing = new AbortController();
  #consumer: KafkaConsumer | undefined;
  #assignment: Assignment | undefined;
  #running: Promise<void> | undefined;
  #error: CodedError | undefined;

  constructor(options: KafkaSourceOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#consumer?.close().catch(() => undefined);
    await this.#running;
  }

  status(): SourceReaderStatus {
    const readers = [...(this.#assignment?.readers ?? [])];
    const blocked = readers.map(([, reader]) => reader.blocked).find((error) => error !== undefined);
    const error = this.#error ?? blocked;
    const shown = readers.slice(0, shownMax).map(([partition, reader]) => `${partition}:${reader.durableTo}`);
    const more = readers.length > shownMax ? ` and ${readers.length - shownMax} more` : "";
    return {
      state: error === undefined ? "running" : isWaiting(error) ? "waiting" : "failed",
      position: readers.length === 0 ? "no partitions" : `partition:offset ${shown.join(" ")}${more}`,
      // Before the group has told what is ours nothing can be said of it.
      ...(this.#assignment === undefined ? {} : { lagMessages: lagOf(this.#assignment) }),
      lastError: error?.toString(),
    };
  }

  async #run(): Promise<void> {
    const { timers, retry = defaultRetryPolicy } = this.#options;
    const { signal } = this.#closing;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await this.#session(() => (attempt = 0));
      } catch (caught) {
        if (signal.aborted) return;
        this.#error = CodedError.from(caught, "read from Kafka");
        const pause = pauseMs(this.#error, attempt, { retry, timers });
        await timers.sleep(pause, signal).catch(() => undefined);
      }
    }
  }

  /** One membership, from joining to whatever ends it. */
  async #session(onJoined: () => void): Promise<void> {
    const { loadDriver, connect, topic, group, sessionTimeoutMs, timers } = this.#options;
    const { signal } = this.#closing;
    const over = new AbortController();
    let ended: CodedError | undefined;
    const [connection, driver] = await Promise.all([connect(), loadDriver()]);
    if (signal.aborted) return;
    const consumer = driver.createConsumer({
      connection,
      topic,
      group,
      sessionTimeoutMs,
      clock: { sleep: (ms, until) => timers.sleep(ms, until ?? over.signal) },
      onAssigned: (assignment) => this.#begin(assignment, consumer),
      onRevoked: () => this.#endAssignment(),
      onRecords: (records) => this.#assignment?.add(records),
      onEnded: (error) => {
        ended = error;
        over.abort();
      },
    });
    this.#consumer = consumer;
    try {
      await consumer.start();
      if (signal.aborted) return;
      this.#error = undefined;
      onJoined();
      await this.#commitAgainAndAgain(consumer, AbortSignal.any([signal, over.signal]));
      if (ended !== undefined) throw ended;
    } finally {
      await consumer.close().catch(() => undefined);
      // Nobody else ended it where the consumer had ended by itself.
      await this.#endAssignment();
      over.abort();
    }
  }

  async #commitAgainAndAgain(consumer: KafkaConsumer, signal: AbortSignal): Promise<void> {
    const { timers, commitIntervalMs } = this.#options;
    let endsAt = timers.now() + endsIntervalMs;
    while (!signal.aborted) {
      await timers.sleep(commitIntervalMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.#assignment?.commit();
        if (timers.now() >= endsAt) {
          endsAt = timers.now() + endsIntervalMs;
          this.#hearEnds(await consumer.ends());
        }
        this.#error = undefined;
      } catch (caught) {
        const error = CodedError.from(caught, "commit offsets");
        // The group goes on without us for a moment, or we are told soon why it doesn't.
        if (error.code !== "failed_precondition") this.#error = error;
      }
    }
  }

  #hearEnds(ends: ReadonlyMap<number, number>): void {
    for (const [partition, high] of ends) {
      const reader = this.#assignment?.readers.get(partition);
      if (reader !== undefined) reader.high = Math.max(reader.high, high);
    }
  }

  #begin(given: KafkaAssignment, consumer: KafkaConsumer): void {
    const { start, timers, out, context, topic } = this.#options;
    const { tenant, stream } = context;
    const of = { tenant, stream: `${stream.name}/${stream.createdMs}` };
    // Of this assignment: what an earlier one still holds is read again by whoever has it now.
    const onHeld = this.#holder(consumer);
    this.#assignment = new Assignment({
      assignment: given,
      consumer,
      start,
      timers,
      onError: (error) => {
        this.#error = error;
      },
      openReader: ({ partition, high }, { from, signal }) => {
        const key = sourceKey(of, "kafka", `${given.clusterId}/${topic}/${partition}`);
        out?.follow(key, signal);
        return this.#openReader({ key, from, high, signal, onHeld });
      },
      committable: ({ key, durableTo, from, gaps }) =>
        out === undefined ? durableTo : Math.min(durableTo, out.to(key, { from, gaps })),
    });
    this.#assignment.begin();
  }

  #openReader({ key, ...of }: OpenedPartition): PartitionReader {
    const { context, topic, sourceId, cut, appendsInFlightMax, timers, retry, out } = this.#options;
    const { tenant, stream } = context;
    return new PartitionReader({
      origin: { tenant, stream, sourceId, topic, key },
      context,
      cut,
      appendsInFlightMax,
      retry: retry ?? defaultRetryPolicy,
      timers,
      isFollowed: out !== undefined,
      ...of,
    });
  }

  /** Reading stops while too much is on its way, and goes on when half of it is durable. */
  #holder(consumer: KafkaConsumer): (bytes: number) => void {
    const { bytesInFlightMax } = this.#options;
    let held = 0;
    let isPaused = false;
    consumer.resume();
    return (bytes) => {
      held += bytes;
      if (!isPaused && held > bytesInFlightMax) {
        isPaused = true;
        consumer.pause();
      } else if (isPaused && held <= bytesInFlightMax / 2) {
        isPaused = false;
        consumer.resume();
      }
    };
  }

  async #endAssignment(): Promise<void> {
    const assignment = this.#assignment;
    if (assignment === undefined) return;
    await assignment.end();
    if (this.#assignment === assignment) this.#assignment = undefined;
  }
}

function lagOf({ readers }: Assignment): number {
  return [...readers.values()].reduce((sum, { high, durableTo }) => sum + Math.max(0, high - durableTo), 0);
}
