import { type OpenBatch, rowPositions, splitBatch } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import type { Compression, KafkaMessage, KafkaProducer } from "@millrace/kafka";
import type { StreamRegistry } from "@millrace/messaging";
import { KafkaValue, type Stream } from "@millrace/proto/stream";
import type { Component } from "@millrace/runtime";
import { createKafkaProducers, type KafkaProducersOptions } from "./kafka-producers.js";
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

export interface KafkaSinksOptions extends Omit<KafkaProducersOptions, "field"> {
  registry: Pick<StreamRegistry, "onStream">;
  /** Throws where a body was overwritten while it was read. */
  stillTrue(open: OpenBatch): void | Promise<void>;
}

/** A request is one record batch for each partition, and brokers take 1 MiB by default, headers and all. */
const pieceBytesMax = 512 * 1024;
const pieceRowsMax = 2_048;

export function createKafkaSinks(options: KafkaSinksOptions): KafkaSinks {
  const { registry, stillTrue } = options;
  const producers = createKafkaProducers({ ...options, field: "outputs.kafka.connection" });

  registry.onStream(({ tenant, name, stream }) => {
    if (stream?.outputs?.kafka === undefined) producers.drop(`${tenant}/${name}`);
  });

  return {
    ...producers,
    name: "kafka-sinks",
    send: async function* send(open, stream) {
      const output = stream.outputs?.kafka;
      if (output === undefined) return;
      const { topic, connection, value } = output;
      const settings = { connection, compression: output.compression as Compression };
      for (const piece of splitBatch(open, pieceRowsMax, pieceBytesMax, "kafka")) {
        const records = kafkaRecords(piece, value ?? KafkaValue.KAFKA_VALUE_CONTENT);
        await stillTrue(open);
        const rows = await producers
          .use(`${open.header.tenant}/${stream.name}`, settings, (producer) =>
            sendAll(producer, topic, records),
          )
          .catch((caught: unknown) => {
            throw asStreamBlock(caught);
          });
        const positions = rowPositions(piece.header, piece.columns);
        const refused = rows.map(({ row, error }) => ({ position: positions[row] as number, error }));
        yield { header: piece.header, refused };
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
