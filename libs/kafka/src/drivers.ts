import type { DriverName } from "./connection.js";
import type { KafkaConsumer, KafkaConsumerOptions } from "./consumer.js";
import { createKafkajsConsumer } from "./kafkajs/consumer.js";
import { createKafkajsProducer } from "./kafkajs/producer.js";
import { createPlatformaticConsumer } from "./platformatic/consumer.js";
import { createPlatformaticProducer } from "./platformatic/producer.js";
import type { KafkaProducer, KafkaProducerOptions } from "./producer.js";

export interface KafkaDriver {
  createConsumer(options: KafkaConsumerOptions): KafkaConsumer;
  createProducer(options: KafkaProducerOptions): KafkaProducer;
}

export const kafkaDrivers: Readonly<Record<DriverName, KafkaDriver>> = {
  kafkajs: { createConsumer: createKafkajsConsumer, createProducer: createKafkajsProducer },
  platformatic: { createConsumer: createPlatformaticConsumer, createProducer: createPlatformaticProducer },
};
