import { eventually } from "@millrace/runtime/testing";
import kafkajs, { type Admin, Kafka, logLevel } from "kafkajs";

export interface TopicOptions {
  partitions?: number;
  /** Default true. Otherwise it answers when all partitions have a leader. */
  isAnswering?: boolean;
  config?: Readonly<Record<string, string>>;
}

/**
 * Answers when each partition does. A leader that is named may not know of it yet, and refuses it: who sends
 * to several partitions then stores messages twice, see `KafkaProducer`.
 */
export function createTopic(
  bootstrap: string,
  topic: string,
  { partitions = 1, isAnswering = true, config = {} }: TopicOptions = {},
): Promise<void> {
  return withAdmin(bootstrap, async (admin) => {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
    await admin.createTopics({
      waitForLeaders: false,
      topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries }],
    });
    const isLed = async (): Promise<boolean> => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      const found = topics[0]?.partitions ?? [];
      return found.length === partitions && found.every(({ leader }) => leader >= 0);
    };
    await eventually(isLed, { what: `the partitions of ${topic} have a leader` });
    if (!isAnswering) return;
    const answers = async (): Promise<boolean> =>
      (await admin.fetchTopicOffsets(topic)).length === partitions;
    await eventually(answers, { what: `the partitions of ${topic} answer` });
  });
}

/** Sets what a Kafka topic is configured to, instead of all that was set before. */
export function configureTopic(
  bootstrap: string,
  name: string,
  config: Readonly<Record<string, string>>,
): Promise<void> {
  const configEntries = Object.entries(config).map(([key, value]) => ({ name: key, value }));
  const resources = [{ type: kafkajs.ConfigResourceTypes.TOPIC, name, configEntries }];
  return withAdmin(bootstrap, async (admin) => {
    await admin.alterConfigs({ resources, validateOnly: false });
  });
}

/** Answers when consumer groups are served, whose own topic a broker makes when the first one asks. */
export function untilGroupsAreServed(bootstrap: string): Promise<void> {
  return withAdmin(bootstrap, async (admin) => {
    const ask = async (): Promise<boolean> => {
      await admin.fetchOffsets({ groupId: "anyone" });
      return true;
    };
    await eventually(ask, { what: "the broker serves groups", deadlineMs: 60_000, pollMs: 100 });
  });
}

/** Records that a Kafka topic holds. */
export function topicCount(bootstrap: string, kafkaTopic: string): Promise<number> {
  return withAdmin(
    bootstrap,
    async (admin) => {
      const offsets = await admin.fetchTopicOffsets(kafkaTopic);
      return offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
    },
    5,
  );
}

export interface GroupState {
  /** Also of those that are silent, until their sessions end. */
  members: number;
  /** By partition: where the group is, -1 where it never committed, and where the partition ends. */
  offsets: [committed: number, high: number][];
}

/** What a broker says of a group and a Kafka topic that it reads; nobody joins for that. */
export function groupState(bootstrap: string, of: { group: string; topic: string }): Promise<GroupState> {
  return withAdmin(bootstrap, async (admin) => {
    const { groups } = await admin.describeGroups([of.group]);
    const [found] = await admin.fetchOffsets({ groupId: of.group, topics: [of.topic] });
    const committed = new Map(found?.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
    const ends = await admin.fetchTopicOffsets(of.topic);
    return {
      members: groups[0]?.members.length ?? 0,
      offsets: ends
        .toSorted((one, other) => one.partition - other.partition)
        .map(({ partition, high }) => [committed.get(partition) ?? -1, Number(high)]),
    };
  });
}

async function withAdmin<T>(bootstrap: string, work: (admin: Admin) => Promise<T>, retries = 0): Promise<T> {
  const kafka = new Kafka({ clientId: "millrace-test", brokers: [bootstrap], logLevel: logLevel.NOTHING });
  const admin = kafka.admin({ retry: { retries } });
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}
