import { CodedError } from "@millrace/errors";
import {
  type Compression,
  defaultProducerDriver,
  type KafkaConnection,
  kafkaDrivers,
  type KafkaProducer,
} from "@millrace/kafka";
import { namedSettings, readConnection } from "@millrace/kafka/settings";
import { Connection } from "@millrace/proto/kafka";
import type { Component, Secrets } from "@millrace/runtime";

/** What a producer is made from. */
export interface ProducerSettings {
  connection: Connection | undefined;
  compression: Compression;
}

/** A producer for each key, kept while it works and its settings stay. */
export interface KafkaProducers extends Component {
  /**
   * After an error it is made anew at the next use, with the secrets as they are then; not so where only what
   * was sent is refused.
   */
  use<T>(key: string, settings: ProducerSettings, work: (producer: KafkaProducer) => Promise<T>): Promise<T>;
  drop(key: string): void;
}

export interface KafkaProducersOptions {
  secrets: Secrets;
  /** Where the connection stands in the settings. */
  field: string;
  createProducer?(options: { connection: KafkaConnection; compression: Compression }): KafkaProducer;
}

interface Entry {
  settings: Uint8Array;
  producer: Promise<KafkaProducer>;
}

export function createKafkaProducers(options: KafkaProducersOptions): KafkaProducers {
  const { secrets, field, createProducer = kafkaDrivers[defaultProducerDriver].createProducer } = options;
  const fields = { at: field, suffix: "_secret" } as const;
  const entries = new Map<string, Entry>();

  const start = async (given: Connection, compression: Compression): Promise<KafkaProducer> => {
    const of = { secrets, clientId: "millrace-output", fields };
    const producer = createProducer({
      connection: await readConnection(namedSettings(given), of),
      compression,
    });
    await producer.start();
    return producer;
  };
  const drop = (key: string, entry: Entry | undefined): void => {
    if (entry === undefined) return;
    if (entries.get(key) === entry) entries.delete(key);
    void entry.producer.then((producer) => producer.close()).catch(() => undefined);
  };
  const entryOf = (key: string, { connection, compression }: ProducerSettings): Entry => {
    const given = Connection.fromPartial(connection ?? {});
    const settings = Buffer.concat([Buffer.from(`${compression} `), Connection.encode(given).finish()]);
    const known = entries.get(key);
    if (known !== undefined && Buffer.compare(known.settings, settings) === 0) return known;
    drop(key, known);
    const entry: Entry = { settings, producer: start(given, compression) };
    // Whoever uses it is told.
    entry.producer.catch(() => undefined);
    entries.set(key, entry);
    return entry;
  };

  return {
    name: "kafka-producers",
    stop: async () => {
      const all = [...entries.values()];
      entries.clear();
      await Promise.allSettled(all.map(async ({ producer }) => (await producer).close()));
    },
    use: async (key, settings, work) => {
      const entry = entryOf(key, settings);
      let isStarted = false;
      try {
        const producer = await entry.producer;
        isStarted = true;
        return await work(producer);
      } catch (caught) {
        // What the brokers refuse is no fault of the producer, which others may have sends under way on.
        const isRefused = isStarted && CodedError.from(caught, "kafka").code === "invalid_argument";
        if (!isRefused) drop(key, entry);
        throw caught;
      }
    },
    drop: (key) => drop(key, entries.get(key)),
  };
}
