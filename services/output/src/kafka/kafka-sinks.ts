import { type OpenBatch, rowPositions, splitBatch } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import {
  type Compression,
  defaultProducerDriver,
  type KafkaConnection,
  kafkaDrivers,
  type KafkaMessage,
  type KafkaProducer,
} from "@millrace/kafka";
import type { StreamRegistry } from "@millrace/messaging";
import { KafkaOutput, KafkaValue, type Stream } from "@millrace/proto/stream";
import type { Component, Secrets } from "@millrace/runtime";
import { kafkaConnection } from "./kafka-connection.js";
import { kafkaRecords } from "./kafka-records.js";

/** A part of a batch that the topic has, but for the messages that it does not take. */
export interface SentPiece {
  header: OpenBatch["header"];
  refused: { position: number; error: CodedError }[];
}

/** A producer for each stream with a Kafka output. */
export interface KafkaSinks extends Component {
  /**
   * Sends a batch piece by piece, each when the one before it is on all replicas in sync. Errors:
   * `unavailable` for this stream alone, `data_loss` where the body is not what it was.
   */
  send(open: OpenBatch, stream: Stream): AsyncGenerator<SentPiece>;
}

export interface KafkaSinksOptions {
  registry: Pick<StreamRegistry, "onStream">;
  secrets: Secrets;
  /** Throws where a body was overwritten while it was read. */
  stillTrue(open: OpenBatch): void | Promise<void>;
  createProducer?(options: { connection: KafkaConnection; compression: Compression }): KafkaProducer;
}

/** A request is one record batch for each partition, and brokers take 1 MiB by default, headers and all. */
const pieceBytesMax = 512 * 1024;
const pieceRowsMax = 2_048;

interface Entry {
  settings: Uint8Array;
  producer: Promise<KafkaProducer>;
}

export function createKafkaSinks(options: KafkaSinksOptions): KafkaSinks {
  const { registry, secrets, stillTrue } = options;
  const { createProducer = kafkaDrivers[defaultProducerDriver].createProducer } = options;
  const entries = new Map<string, Entry>();

  const start = async ({ connection, compression }: KafkaOutput): Promise<KafkaProducer> => {
    const reached = await kafkaConnection(
      connection ?? { bootstrapServers: [], tls: undefined, sasl: undefined },
      secrets,
    );
    const producer = createProducer({ connection: reached, compression: compression as Compression });
    await producer.start();
    return producer;
  };
  /** Made anew at the next batch, with the secrets as they are then. */
  const drop = (key: string, entry: Entry | undefined): void => {
    if (entry === undefined) return;
    if (entries.get(key) === entry) entries.delete(key);
    void entry.producer.then((producer) => producer.close()).catch(() => undefined);
  };
  const entryOf = (key: string, output: KafkaOutput): Entry => {
    const settings = KafkaOutput.encode(output).finish();
    const known = entries.get(key);
    if (known !== undefined && Buffer.compare(known.settings, settings) === 0) return known;
    drop(key, known);
    const entry: Entry = { settings, producer: start(output) };
    entry.producer.catch(() => drop(key, entry));
    entries.set(key, entry);
    return entry;
  };

  registry.onStream(({ tenant, name, stream }) => {
    const key = `${tenant}/${name}`;
    if (stream?.outputs?.kafka === undefined) drop(key, entries.get(key));
  });

  return {
    name: "kafka-sinks",
    stop: async () => {
      const all = [...entries.values()];
      entries.clear();
      await Promise.allSettled(all.map(async ({ producer }) => (await producer).close()));
    },
    send: async function* send(open, stream) {
      const output = stream.outputs?.kafka;
      if (output === undefined) return;
      const key = `${open.header.tenant}/${stream.name}`;
      const entry = entryOf(key, output);
      for (const piece of splitBatch(open, pieceRowsMax, pieceBytesMax, "kafka")) {
        const records = kafkaRecords(piece, output.value ?? KafkaValue.KAFKA_VALUE_CONTENT);
        await stillTrue(open);
        try {
          const rows = await sendAll(await entry.producer, output.topic, records);
          const positions = rowPositions(piece.header, piece.columns);
          const refused = rows.map(({ row, error }) => ({ position: positions[row] as number, error }));
          yield { header: piece.header, refused };
        } catch (caught) {
          drop(key, entry);
          throw asStreamBlock(caught);
        }
      }
    },
  };
}

interface Refused {
  row: number;
  error: CodedError;
}

/** What the topic does not take is found by halves: the brokers answer for a request as a whole. */
async function sendAll(
  producer: KafkaProducer,
  topic: string,
  records: readonly KafkaMessage[],
  from = 0,
): Promise<Refused[]> {
  try {
    await producer.send(topic, records);
    return [];
  } catch (caught) {
    const error = CodedError.from(caught, "kafka");
    if (error.code !== "invalid_argument") throw error;
    if (records.length <= 1) return [{ row: from, error }];
    const middle = records.length >>> 1;
    return [
      ...(await sendAll(producer, topic, records.slice(0, middle), from)),
      ...(await sendAll(producer, topic, records.slice(middle), from + middle)),
    ];
  }
}

/** Brokers that are away, or refuse us, hold up the streams that go there and no other one. */
function asStreamBlock(caught: unknown): CodedError {
  const error = CodedError.from(caught, "kafka");
  if (error.code === "internal" || error.code === "data_loss") return error;
  return new CodedError("unavailable", error.message, {
    scope: "stream",
    field: error.field ?? "outputs.kafka",
    ...(error.remedy !== undefined && { remedy: error.remedy }),
    retryAfterMs: 1_000,
    cause: caught,
  });
}
