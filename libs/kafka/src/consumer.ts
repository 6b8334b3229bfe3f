import type { CodedError } from "@millrace/errors";
import type { Clock } from "@millrace/runtime";
import type { KafkaConnection } from "./connection.js";

/**
 * A member of a consumer group, for one topic.
 *
 *              onAssigned           begin                      onRevoked, awaited
 *   joining ─────────────► assigned ─────► reading ──rebalance────────────────────► joining
 *                                             └─ends for good──► onEnded
 *
 * An assignment has an epoch. Nothing of an epoch that is over can be begun or committed any more: another
 * member may have the partition.
 */
export interface KafkaConsumer {
  /** Joins the group. Rejects where the brokers are away, refuse us or have no such topic. */
  start(): Promise<void>;
  /** Has a partition read from an offset: nothing of it comes before that. Again: goes on from there. */
  begin(epoch: number, partition: number, offset: number): void;
  /** After what is on its way nothing is handed out until `resume`. The group keeps us as a member. */
  pause(): void;
  resume(): void;
  /** Where the group goes on, by partition. Errors: `failed_precondition` where the epoch is over. */
  commit(epoch: number, offsets: ReadonlyMap<number, number>): Promise<void>;
  /** The end of each partition that is ours now. */
  ends(): Promise<Map<number, number>>;
  /** Revokes what is assigned and leaves the group. */
  close(): Promise<void>;
}

export interface KafkaConsumerOptions {
  connection: KafkaConnection;
  topic: string;
  group: string;
  /** A member that is silent so long is taken for dead. Default 15 s. */
  sessionTimeoutMs?: number;
  /** Bytes that one answer of a broker holds, a single larger message apart. Default 4 MiB. */
  fetchBytesMax?: number;
  clock: Pick<Clock, "sleep">;
  onAssigned(assignment: KafkaAssignment): void;
  /** The epoch ends when this does: what must still be committed is committed in here. */
  onRevoked(assignment: KafkaAssignment): Promise<void>;
  onRecords(records: KafkaRecords): void;
  /** It reads no more. Whoever wants to go on makes a new one. */
  onEnded(error: CodedError): void;
}

export interface KafkaAssignment {
  /** Rises; of this consumer. */
  epoch: number;
  clusterId: string;
  partitions: readonly KafkaPartition[];
}

export interface KafkaPartition {
  partition: number;
  /** Where the group was; undefined where it never committed. */
  committed: number | undefined;
  /** Offsets that the broker holds, [low, high). */
  low: number;
  high: number;
}

/** Records of a partition in order, as the driver holds them: asked for one by one, never copied. */
export interface KafkaRecords {
  epoch: number;
  partition: number;
  count: number;
  /** The one behind the last record, and behind those that are not for readers, such as markers. */
  nextOffset: number;
  /** The end of the partition. */
  high: number;
  offset(row: number): number;
  timestampMs(row: number): number;
  key(row: number): Buffer | null;
  /** Null is a tombstone. */
  value(row: number): Buffer | null;
  /** Names may repeat. */
  eachHeader(row: number, visit: (name: string, value: Buffer | null) => void): void;
}

export const defaultSessionTimeoutMs = 15_000;
export const defaultFetchBytesMax = 4 * 1024 * 1024;
/** How long a broker holds a request back while it has nothing. */
export const fetchWaitMs = 250;
/** Of a session: often enough that two may be lost. */
export const heartbeatMs = (sessionTimeoutMs: number): number => Math.floor(sessionTimeoutMs / 5);
/** How long members have to give up what they hold. */
export const rebalanceTimeoutMs = (sessionTimeoutMs: number): number => Math.max(sessionTimeoutMs, 30_000);
/** How long closing waits for a join, to leave after it; beyond, the member's session ends by itself. */
export const joinWaitMs = 10_000;
