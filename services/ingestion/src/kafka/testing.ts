import {
  createIntervalSet,
  type OpenBatch,
  rowAttributes,
  rowOffsets,
  rowPositions,
  rowSourceId,
} from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import { type DriverName, kafkaDrivers, type KafkaConnection } from "@millrace/kafka";
import { Source } from "@millrace/proto/source";
import { Stream } from "@millrace/proto/stream";
import type { SourceContext, SourceReader } from "../source/source-reader.js";
import { createKafkaSource, type KafkaSourceOptions } from "./kafka-source.js";

/** What a stand-in for buffer took, as buffer would count it. */
export interface TakenRow {
  key: string;
  position: number;
  text: string;
  sourceId: string;
  attributes: Record<string, string>;
}

export interface Taker {
  rows: TakenRow[];
  rejected: { reason: string; position: number; truncatedBytes: number }[];
  /** Throws to refuse, or waits. */
  before(batch: OpenBatch): Promise<void>;
  context: SourceContext;
}

/** Remembers positions by key, and answers where to resume as buffer does. */
export function createTaker(stream: Partial<Stream> = {}): Taker {
  const accepted = new Map<string, ReturnType<typeof createIntervalSet>>();
  const setOf = (key: string) => {
    const set = accepted.get(key) ?? createIntervalSet();
    accepted.set(key, set);
    return set;
  };
  const settle = ({ header }: OpenBatch): void =>
    setOf(header.source).add({ from: header.positionFrom, to: header.positionTo });
  const taker: Taker = {
    rows: [],
    rejected: [],
    before: async () => undefined,
    context: {
      tenant: "default",
      stream: Stream.fromPartial({ name: "orders", createdMs: 1, batchSize: 8192, ...stream }),
      source: Source.fromPartial({ id: "s", stream: "orders" }),
      lastPosition: async (key, from = 0) => {
        const [missing] = setOf(key).missing({ from, to: Number.MAX_SAFE_INTEGER });
        return missing?.from ?? from;
      },
      append: async (batch) => {
        await taker.before(batch);
        const positions = rowPositions(batch.header, batch.columns);
        const offsets = rowOffsets(batch.header, batch.columns);
        for (let row = 0; row < batch.header.count; row++) {
          taker.rows.push({
            key: batch.header.source,
            position: positions[row] ?? -1,
            text: Buffer.from(batch.body.subarray(offsets[row], offsets[row + 1])).toString(),
            sourceId: rowSourceId(batch.columns, row),
            attributes: rowAttributes(batch.columns, row),
          });
        }
        settle(batch);
      },
      reject: async ({ batch, reason, truncatedBytes }) => {
        taker.rejected.push({ reason, position: batch.header.positionFrom, truncatedBytes });
        settle(batch);
      },
    },
  };
  return taker;
}

export const unreachable = new CodedError("unavailable", "buffer is away");

export interface SourceToOpen {
  topic: string;
  driver?: DriverName;
  timers: KafkaSourceOptions["timers"];
}

export function openSource(
  taker: Taker,
  connection: KafkaConnection,
  options: Partial<KafkaSourceOptions> & SourceToOpen,
): SourceReader {
  const { driver = "kafkajs", ...others } = options;
  return createKafkaSource({
    context: taker.context,
    loadDriver: async () => kafkaDrivers[driver],
    connect: async () => connection,
    group: `group-of-${options.topic}`,
    start: "earliest",
    sourceId: "",
    out: undefined,
    cut: { rowsMax: 8192, bodyBytesMax: 1024 * 1024 },
    appendsInFlightMax: 4,
    bytesInFlightMax: 1024 * 1024,
    sessionTimeoutMs: 6_000,
    commitIntervalMs: 100,
    retry: { firstMs: 50, lastMs: 200, slowMs: 200 },
    ...others,
  });
}
