import { assert } from "@millrace/errors";
import kafkajs, { type Admin, type Consumer, type EachBatchPayload, PartitionAssigners } from "kafkajs";
import {
  defaultFetchBytesMax,
  defaultSessionTimeoutMs,
  fetchWaitMs,
  heartbeatMs,
  joinWaitMs,
  type KafkaAssignment,
  type KafkaConsumer,
  type KafkaConsumerOptions,
  type KafkaRecords,
  rebalanceTimeoutMs,
} from "../consumer.js";
import { createGate, type Gate } from "../gate.js";
import { kafkaError } from "../kafka-error.js";
import { overEpoch } from "../over-epoch.js";
import { createClient } from "./client.js";
import { type GroupJoin, withJoins } from "./group-hooks.js";

export function createKafkajsConsumer(options: KafkaConsumerOptions): KafkaConsumer {
  return new KafkajsConsumer(options);
}

class KafkajsConsumer implements KafkaConsumer {
  readonly #options: KafkaConsumerOptions;
  readonly #consumer: Consumer;
  readonly #admin: Admin;
  readonly #heartbeatMs: number;
  readonly #gate: Gate;
  /** Closed while a join is under way. */
  readonly #joined: Gate;
  #clusterId = "";
  #epoch = 0;
  /** Undefined between two assignments, where nothing may be committed. */
  #partitions: readonly number[] | undefined;
  /** Of them. What kafkajs hands out before is left over from an earlier assignment. */
  #begun = new Set<number>();
  #assignment: KafkaAssignment | undefined;
  #isClosing = false;
  #closed: Promise<void> | undefined;
  #revoking: Promise<void> | undefined;

  constructor(options: KafkaConsumerOptions) {
    const { connection, group, sessionTimeoutMs = defaultSessionTimeoutMs } = options;
    this.#options = options;
    this.#gate = createGate(options.clock);
    this.#joined = createGate(options.clock);
    this.#heartbeatMs = heartbeatMs(sessionTimeoutMs);
    const kafka = createClient(connection);
    this.#admin = kafka.admin();
    this.#consumer = kafka.consumer({
      groupId: group,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: rebalanceTimeoutMs(sessionTimeoutMs),
      heartbeatInterval: this.#heartbeatMs,
      maxBytes: options.fetchBytesMax ?? defaultFetchBytesMax,
      maxBytesPerPartition: options.fetchBytesMax ?? defaultFetchBytesMax,
      maxWaitTimeInMs: fetchWaitMs,
      allowAutoTopicCreation: false,
      partitionAssigners: [withJoins(PartitionAssigners.roundRobin, (join) => this.#join(join))],
    });
  }

  async start(): Promise<void> {
    const { topic } = this.#options;
    try {
      await this.#admin.connect();
      this.#clusterId = (await this.#admin.describeCluster()).clusterId;
      await this.#admin.fetchTopicMetadata({ topics: [topic] });
      await this.#consumer.connect();
      this.#consumer.on(this.#consumer.events.CRASH, ({ payload }) => this.#end(payload.error));
      await this.#consumer.subscribe({ topics: [topic], fromBeginning: true });
      await this.#consumer.run({ autoCommit: false, eachBatch: (payload) => this.#hand(payload) });
    } catch (caught) {
      await this.#disconnect();
      throw kafkaError(caught, "kafka: join the consumer group");
    }
    // Closed meanwhile, and connected after that.
    if (this.#isClosing) await this.#disconnect();
  }

  begin(epoch: number, partition: number, offset: number): void {
    if (epoch !== this.#epoch || this.#partitions === undefined) return;
    const { topic } = this.#options;
    this.#begun.add(partition);
    this.#consumer.seek({ topic, partition, offset: String(offset) });
    this.#consumer.resume([{ topic, partitions: [partition] }]);
  }

  pause(): void {
    this.#gate.close();
  }

  resume(): void {
    this.#gate.open();
  }

  async commit(epoch: number, offsets: ReadonlyMap<number, number>): Promise<void> {
    if (epoch !== this.#epoch || this.#partitions === undefined) throw overEpoch();
    const { topic } = this.#options;
    const wanted = [...offsets].map(([partition, offset]) => ({ topic, partition, offset: String(offset) }));
    await this.#consumer.commitOffsets(wanted).catch((caught: unknown) => {
      throw kafkaError(caught, "kafka: commit offsets");
    });
    // kafkajs says nothing where it gave up in the middle.
    if (epoch !== this.#epoch) throw overEpoch();
  }

  async ends(): Promise<Map<number, number>> {
    const ours = new Set(this.#partitions);
    const all = await this.#admin.fetchTopicOffsets(this.#options.topic).catch((caught: unknown) => {
      throw kafkaError(caught, "kafka: ask for the ends of partitions");
    });
    const held = all.filter(({ partition }) => ours.has(partition));
    return new Map(held.map(({ partition, high }) => [partition, Number(high)]));
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#isClosing = true;
    this.#gate.open();
    await this.#revoke();
    await this.#joined.opened(joinWaitMs);
    await this.#disconnect();
  }

  async #disconnect(): Promise<void> {
    this.#isClosing = true;
    await Promise.allSettled([this.#consumer.disconnect(), this.#admin.disconnect()]);
  }

  /** Who is closed meanwhile leaves: kafkajs would go on as a member that reads nothing. */
  async #join({ join, leave }: GroupJoin): Promise<void> {
    this.#joined.close();
    try {
      await this.#revoke();
      const partitions = this.#isClosing ? [] : await join();
      if (this.#isClosing) throw new kafkajs.KafkaJSNonRetriableError("closed while it joined the group");
      this.#assign(partitions);
    } catch (caught) {
      await leave().catch(() => undefined);
      throw caught;
    } finally {
      this.#joined.open();
    }
  }

  /** Whoever comes while it runs waits for the same. */
  #revoke(): Promise<void> {
    this.#revoking ??= this.#revokeOnce().finally(() => {
      this.#revoking = undefined;
    });
    return this.#revoking;
  }

  async #revokeOnce(): Promise<void> {
    const assignment = this.#assignment;
    this.#assignment = undefined;
    if (assignment !== undefined) await this.#options.onRevoked(assignment).catch(() => undefined);
    this.#partitions = undefined;
    this.#begun = new Set();
  }

  /** Every partition is paused until `begin`; the group does not wait for what we ask the brokers. */
  #assign(partitions: readonly number[]): void {
    this.#epoch++;
    this.#partitions = partitions;
    void this.#tell(this.#epoch, partitions).catch((caught: unknown) => this.#end(caught));
  }

  async #tell(epoch: number, partitions: readonly number[]): Promise<void> {
    const { topic, group } = this.#options;
    const [bounds, committed] = await Promise.all([
      this.#admin.fetchTopicOffsets(topic),
      this.#admin.fetchOffsets({ groupId: group, topics: [topic] }),
    ]);
    if (epoch !== this.#epoch || this.#isClosing) return;
    const known = new Map(
      committed.flatMap((of) => of.partitions).map(({ partition, offset }) => [partition, Number(offset)]),
    );
    const ours = new Set(partitions);
    this.#assignment = {
      epoch,
      clusterId: this.#clusterId,
      partitions: bounds
        .filter(({ partition }) => ours.has(partition))
        .map(({ partition, low, high }) => {
          const at = known.get(partition) ?? -1;
          return { partition, committed: at < 0 ? undefined : at, low: Number(low), high: Number(high) };
        }),
    };
    this.#options.onAssigned(this.#assignment);
  }

  /** A closed gate holds the batch and with it the fetching, while heartbeats go on. */
  async #hand({ batch, heartbeat, isStale }: EachBatchPayload): Promise<void> {
    const epoch = this.#epoch;
    while (!this.#gate.isOpen() && !this.#isClosing) {
      await this.#gate.opened(this.#heartbeatMs);
      await heartbeat();
    }
    // kafkajs counts it as read then; whoever has the partition next says from where anyway.
    if (this.#isClosing || isStale() || epoch !== this.#epoch || !this.#begun.has(batch.partition)) return;
    this.#options.onRecords(viewOf(batch, epoch));
  }

  #end(caught: unknown): void {
    if (this.#isClosing) return;
    this.#partitions = undefined;
    this.#assignment = undefined;
    void this.#disconnect();
    this.#options.onEnded(kafkaError(caught, "kafka: read"));
  }
}

function viewOf(batch: EachBatchPayload["batch"], epoch: number): KafkaRecords {
  const { messages } = batch;
  const at = (row: number) => {
    const message = messages[row];
    assert(message !== undefined, "a row of the batch");
    return message;
  };
  return {
    epoch,
    partition: batch.partition,
    count: messages.length,
    nextOffset: Number(batch.lastOffset()) + 1,
    high: Number(batch.highWatermark),
    offset: (row) => Number(at(row).offset),
    timestampMs: (row) => Number(at(row).timestamp),
    key: (row) => at(row).key ?? null,
    value: (row) => at(row).value,
    eachHeader: (row, visit) => {
      const { headers } = at(row);
      for (const name in headers) {
        const value = headers[name];
        for (const one of Array.isArray(value) ? value : [value]) {
          visit(name, typeof one === "string" ? Buffer.from(one) : (one ?? null));
        }
      }
    },
  };
}
