export type { KafkaUser } from "./broker-properties.js";
export {
  configureTopic,
  type GroupState,
  groupState,
  topicCount,
  type TopicOptions,
} from "./create-topic.js";
export { type KafkaOptions, type KafkaServer, startKafka } from "./kafka-server.js";
export { type ReadRecord, readTopic, type TopicReader } from "./read-topic.js";
