export {
  type Compression,
  compressions,
  defaultConsumerDriver,
  defaultProducerDriver,
  driverNames,
  type DriverName,
  type KafkaConnection,
  type KafkaSasl,
  type KafkaTls,
  parseBootstrapServers,
  saslMechanisms,
  type SaslMechanism,
} from "./connection.js";
export type {
  KafkaAssignment,
  KafkaConsumer,
  KafkaConsumerOptions,
  KafkaPartition,
  KafkaRecords,
} from "./consumer.js";
export { type KafkaDriver, kafkaDrivers } from "./drivers.js";
export {
  type KafkaMessage,
  type KafkaProducer,
  type KafkaProducerOptions,
} from "./producer.js";
