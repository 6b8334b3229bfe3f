import { CodedError } from "@millrace/errors";
import type { KafkaAssignment, KafkaConsumer, KafkaPartition, KafkaRecords } from "@millrace/kafka";
import type { Timers } from "../source/append-window.js";
import type { PartitionReader } from "./partition-reader.js";

export interface AssignmentOptions {
  assignment: KafkaAssignment;
  consumer: Pick<KafkaConsumer, "begin" | "commit">;
  /** Where the group begins with a partition that it never committed. */
  start: "earliest" | "latest";
  openReader(partition: KafkaPartition, of: { from: number; signal: AbortSignal }): PartitionReader;
  /** Up to where a partition may be committed: all before it is durable, or out. */
  committable(reader: PartitionReader): number;
  timers: Timers;
  onError(error: CodedError | undefined): void;
}

/** How long a rebalance waits for what is on its way to buffer. */
const drainMsMax = 5_000;

/**
 * The partitions of one epoch. When it ends, reading stops, what is on its way may come back, the contiguous
 * part of it is committed, and what comes later changes nothing any more.
 */
export class Assignment {
  readonly #options: AssignmentOptions;
  readonly #readers = new Map<number, PartitionReader>();
  readonly #committed = new Map<number, number>();
  readonly #ending = new AbortController();
  #isOver = false;
  #committing: Promise<void> | undefined;

  constructor(options: AssignmentOptions) {
    const { assignment, start, openReader } = options;
    this.#options = options;
    const { signal } = this.#ending;
    for (const partition of assignment.partitions) {
      const { committed, low, high } = partition;
      const from = Math.max(low, committed ?? (start === "earliest" ? low : high));
      // Where nothing was committed yet, what was found must stand, or a restart would find another one.
      this.#committed.set(partition.partition, committed ?? -1);
      this.#readers.set(partition.partition, openReader(partition, { from, signal }));
    }
  }

  get epoch(): number {
    return this.#options.assignment.epoch;
  }

  get readers(): ReadonlyMap<number, PartitionReader> {
    return this.#readers;
  }

  /** Has each partition read from where buffer says; one does not wait for another. */
  begin(): void {
    const { consumer, onError } = this.#options;
    for (const [partition, reader] of this.#readers) {
      reader.resume().then(
        (position) => consumer.begin(this.epoch, partition, position),
        (caught: unknown) => {
          const error = CodedError.from(caught, "begin with a partition");
          if (error.code !== "canceled") onError(error);
        },
      );
    }
  }

  add(records: KafkaRecords): void {
    if (records.epoch === this.epoch) this.#readers.get(records.partition)?.add(records);
  }

  /** One commit at a time; what is settled during one goes with the next. */
  async commit(): Promise<void> {
    if (this.#isOver) return;
    this.#committing ??= this.#commitOnce().finally(() => {
      this.#committing = undefined;
    });
    await this.#committing;
  }

  async #commitOnce(): Promise<void> {
    const { consumer, committable } = this.#options;
    const offsets = new Map<number, number>();
    for (const [partition, reader] of this.#readers) {
      const offset = committable(reader);
      if (offset > (this.#committed.get(partition) ?? -1)) offsets.set(partition, offset);
    }
    if (offsets.size === 0) return;
    await consumer.commit(this.epoch, offsets);
    for (const [partition, offset] of offsets) this.#committed.set(partition, offset);
  }

  /** Resolves when the group may go on. */
  async end(): Promise<void> {
    const { timers, onError } = this.#options;
    this.#ending.abort();
    const waited = new AbortController();
    const drained = Promise.all([...this.#readers.values()].map((reader) => reader.settled()));
    const late = timers.sleep(drainMsMax, waited.signal).catch(() => undefined);
    await Promise.race([drained, late]);
    waited.abort();
    try {
      // A commit that runs already may not have the last positions.
      await this.#committing?.catch(() => undefined);
      await this.commit();
    } catch (caught) {
      onError(CodedError.from(caught, "commit offsets"));
    }
    this.#isOver = true;
  }
}
