import { Kafka, logLevel } from "kafkajs";

export interface TopicOptions {
  partitions?: number;
  config?: Readonly<Record<string, string>>;
}

/** Answers when its partitions have a leader: who asks for it is not told that it does not exist. */
export async function createTopic(
  bootstrap: string,
  topic: string,
  { partitions = 1, config = {} }: TopicOptions = {},
): Promise<void> {
  const kafka = new Kafka({ clientId: "millrace-test", brokers: [bootstrap], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  try {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
    await admin.createTopics({
      waitForLeaders: true,
      topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries }],
    });
  } finally {
    await admin.disconnect();
  }
}
