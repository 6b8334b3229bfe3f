import { present } from "@millrace/errors";
import {
  Consumer,
  type ConsumerGroupJoinPayload,
  ListOffsetTimestamps,
  UserError,
} from "@platformatic/kafka";
import {
  defaultFetchBytesMax,
  defaultSessionTimeoutMs,
  fetchWaitMs,
  heartbeatMs,
  joinWaitMs,
  type KafkaAssignment,
  type KafkaConsumer,
  type KafkaConsumerOptions,
  rebalanceTimeoutMs,
} from "../consumer.js";
import { createGate, type Gate } from "../gate.js";
import { kafkaError } from "../kafka-error.js";
import { overEpoch } from "../over-epoch.js";
import { baseOptions } from "./connection.js";
import { GroupMember } from "./group-member.js";
import { type PartitionAnswer, viewOf } from "./record-view.js";

export function createPlatformaticConsumer(options: KafkaConsumerOptions): KafkaConsumer {
  return new PlatformaticConsumer(options);
}

const readCommitted = 1;
const failuresMax = 5;
const failurePauseMs = 300;

/**
 * One client is the member of the group and the other one fetches: a fetch that a broker holds back would
 * hold back the heartbeats behind it. The client's own stream of messages is left out, as it costs an object,
 * a map and two events a message.
 */
class PlatformaticConsumer implements KafkaConsumer {
  readonly #options: KafkaConsumerOptions;
  readonly #member: GroupMember;
  readonly #fetcher: Consumer;
  readonly #sessionTimeoutMs: number;
  /** Closed while a join is under way. */
  readonly #joined: Gate;
  #clusterId = "";
  #epoch = 0;
  #assignment: KafkaAssignment | undefined;
  #isAssigned = false;
  #partitions: readonly number[] = [];
  /** Where each partition that was begun is read next. */
  #positions = new Map<number, number>();
  readonly #nodesInFlight = new Set<number>();
  #isPaused = false;
  #isClosing = false;
  #closed: Promise<void> | undefined;
  #revoking: Promise<void> | undefined;
  #failures = 0;

  constructor(options: KafkaConsumerOptions) {
    const { connection, group, sessionTimeoutMs = defaultSessionTimeoutMs } = options;
    this.#options = options;
    this.#sessionTimeoutMs = sessionTimeoutMs;
    this.#joined = createGate(options.clock);
    const client = { ...baseOptions(connection), groupId: group, autocommit: false };
    this.#fetcher = new Consumer(client);
    this.#member = new GroupMember(client, { beforeJoin: () => this.#beforeJoin() });
    this.#member.on("consumer:group:join", (payload) => this.#assign(payload));
    // It sends no heartbeat any more then.
    this.#member.on("consumer:heartbeat:error", ({ error }) => this.#end(error));
    for (const client of [this.#member, this.#fetcher]) {
      client.on("error", (error: unknown) => this.#end(error));
    }
  }

  async start(): Promise<void> {
    const { topic } = this.#options;
    try {
      const { id } = await this.#fetcher.metadata({ topics: [topic] });
      this.#clusterId = id;
      this.#fetcher.topics.track(topic);
      this.#member.topics.track(topic);
      await this.#member.joinGroup({
        sessionTimeout: this.#sessionTimeoutMs,
        rebalanceTimeout: rebalanceTimeoutMs(this.#sessionTimeoutMs),
        heartbeatInterval: heartbeatMs(this.#sessionTimeoutMs),
      });
    } catch (caught) {
      await this.#disconnect();
      throw kafkaError(caught, "kafka: join the consumer group");
    }
  }

  begin(epoch: number, partition: number, offset: number): void {
    if (epoch !== this.#epoch || !this.#isAssigned) return;
    this.#positions.set(partition, offset);
    this.#fetch();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#fetch();
  }

  async commit(epoch: number, offsets: ReadonlyMap<number, number>): Promise<void> {
    if (epoch !== this.#epoch || !this.#isAssigned) throw overEpoch();
    const { topic } = this.#options;
    const wanted = [...offsets].map(([partition, offset]) => ({
      topic,
      partition,
      offset: BigInt(offset),
      leaderEpoch: -1,
    }));
    await this.#member.commit({ offsets: wanted }).catch((caught: unknown) => {
      throw kafkaError(caught, "kafka: commit offsets");
    });
  }

  async ends(): Promise<Map<number, number>> {
    const highs = await this.#bounds(ListOffsetTimestamps.LATEST).catch((caught: unknown) => {
      throw kafkaError(caught, "kafka: ask for the ends of partitions");
    });
    return new Map(this.#partitions.map((partition) => [partition, Number(highs[partition] ?? 0n)]));
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#isClosing = true;
    await this.#revoke();
    await this.#joined.opened(joinWaitMs);
    await this.#disconnect();
  }

  async #beforeJoin(): Promise<void> {
    await this.#revoke();
    if (this.#isClosing) throw new UserError("closed before it joined the group");
    this.#joined.close();
  }

  async #disconnect(): Promise<void> {
    this.#isClosing = true;
    this.#joined.open();
    await Promise.allSettled([this.#member.close(), this.#fetcher.close()]);
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
    this.#positions = new Map();
    if (assignment !== undefined) await this.#options.onRevoked(assignment).catch(() => undefined);
    this.#isAssigned = false;
    this.#partitions = [];
  }

  #assign({ assignments }: ConsumerGroupJoinPayload): void {
    const { topic } = this.#options;
    this.#joined.open();
    this.#epoch++;
    this.#isAssigned = true;
    this.#partitions = assignments?.find((of) => of.topic === topic)?.partitions ?? [];
    void this.#tell(this.#epoch, this.#partitions).catch((caught: unknown) => this.#end(caught));
  }

  async #tell(epoch: number, partitions: readonly number[]): Promise<void> {
    const { topic, onAssigned } = this.#options;
    const [lows, highs, committed] = await Promise.all([
      this.#bounds(ListOffsetTimestamps.EARLIEST),
      this.#bounds(ListOffsetTimestamps.LATEST),
      partitions.length === 0
        ? new Map<string, bigint[]>()
        : this.#member.listCommittedOffsets({ topics: [{ topic, partitions: [...partitions] }] }),
    ]);
    if (epoch !== this.#epoch || !this.#isAssigned || this.#isClosing) return;
    this.#assignment = {
      epoch,
      clusterId: this.#clusterId,
      partitions: partitions.map((partition) => {
        const at = Number(committed.get(topic)?.[partition] ?? -1n);
        const [low, high] = [Number(lows[partition] ?? 0n), Number(highs[partition] ?? 0n)];
        return { partition, committed: at < 0 ? undefined : at, low, high };
      }),
    };
    onAssigned(this.#assignment);
  }

  /** Of each partition, by its number. */
  async #bounds(timestamp: bigint): Promise<bigint[]> {
    const { topic } = this.#options;
    const offsets = await this.#fetcher.listOffsets({ topics: [topic], timestamp });
    return offsets.get(topic) ?? [];
  }

  /** Starts a fetch at each broker that has partitions of ours and none under way. */
  #fetch(): void {
    if (this.#isPaused || this.#isClosing || this.#positions.size === 0) return;
    void this.#fetchAll().catch((caught: unknown) => this.#fail(caught));
  }

  async #fetchAll(): Promise<void> {
    const { topic } = this.#options;
    const metadata = await this.#fetcher.metadata({ topics: [topic] });
    const { id, partitions } = present(metadata.topics.get(topic), "the topic's metadata");
    if (this.#isPaused || this.#isClosing) return;
    const byLeader = new Map<number, number[]>();
    for (const partition of this.#positions.keys()) {
      const leader = partitions[partition]?.leader ?? -1;
      if (this.#nodesInFlight.has(leader)) continue;
      byLeader.set(leader, [...(byLeader.get(leader) ?? []), partition]);
    }
    for (const [leader, ofLeader] of byLeader) {
      this.#nodesInFlight.add(leader);
      void this.#fetchFrom(leader, id, ofLeader)
        .then(
          () => (this.#failures = 0),
          (caught: unknown) => this.#fail(caught),
        )
        .finally(() => {
          this.#nodesInFlight.delete(leader);
          this.#fetch();
        });
    }
  }

  async #fetchFrom(leader: number, topicId: string, partitions: readonly number[]): Promise<void> {
    const epoch = this.#epoch;
    const asked = new Map(partitions.map((partition) => [partition, this.#positions.get(partition) ?? 0]));
    const bytesMax = this.#options.fetchBytesMax ?? defaultFetchBytesMax;
    const request = [...asked].map(([partition, offset]) => ({
      partition,
      fetchOffset: BigInt(offset),
      partitionMaxBytes: bytesMax,
      currentLeaderEpoch: -1,
      lastFetchedEpoch: -1,
    }));
    const response = await this.#fetcher.fetch({
      node: leader,
      maxWaitTime: fetchWaitMs,
      minBytes: 1,
      maxBytes: bytesMax,
      isolationLevel: readCommitted,
      topics: [{ topicId, partitions: request }],
    });
    for (const answer of response.responses.flatMap((of) => of.partitions)) {
      const from = asked.get(answer.partitionIndex);
      if (from !== undefined) this.#hand(epoch, answer, from);
    }
  }

  #hand(epoch: number, answer: PartitionAnswer, from: number): void {
    const { partitionIndex: partition, records } = answer;
    // Sought elsewhere, or another's, since it was asked for.
    if (epoch !== this.#epoch || this.#positions.get(partition) !== from) return;
    if (records === undefined || records.length === 0) return;
    const view = viewOf(records, { epoch, partition, from, high: Number(answer.highWatermark) });
    this.#positions.set(partition, view.nextOffset);
    this.#options.onRecords(view);
  }

  async #fail(caught: unknown): Promise<void> {
    if (this.#isClosing) return;
    this.#fetcher.clearMetadata();
    if (++this.#failures > failuresMax) return this.#end(caught);
    await this.#options.clock.sleep(failurePauseMs);
    await this.#skipDeleted(caught).catch((error: unknown) => this.#end(error));
    this.#fetch();
  }

  /** What the broker has deleted meanwhile can't be read any more. */
  async #skipDeleted(caught: unknown): Promise<void> {
    if (!/OFFSET_OUT_OF_RANGE/.test(JSON.stringify(caught, ["errors", "apiId", "message"]) ?? "")) return;
    const lows = await this.#bounds(ListOffsetTimestamps.EARLIEST);
    for (const [partition, at] of this.#positions) {
      this.#positions.set(partition, Math.max(at, Number(lows[partition] ?? 0n)));
    }
  }

  #end(caught: unknown): void {
    this.#joined.open();
    if (this.#isClosing) return;
    this.#isAssigned = false;
    this.#assignment = undefined;
    this.#positions = new Map();
    void this.#disconnect();
    this.#options.onEnded(kafkaError(caught, "kafka: read"));
  }
}
