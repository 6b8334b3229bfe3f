import assert from "node:assert/strict";
import { test } from "node:test";
import { KafkaCommit, KafkaStart } from "@millrace/proto/source";
import { startGateway } from "../test-gateway/gateway.js";
import type { KafkaSourceOptions } from "./kafka-source.js";
import { createStreamProcessor } from "../stream/processor.js";

test("a Kafka source is told with its defaults, its brokers and its secrets by name", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  const least = { bootstrapServers: "a:9092,b:9092", topic: "orders", consumerGroup: "millrace" };
  await processor.addKafkaSource(least);
  const told = () => {
    const { request } = gateway.state.calls.at(-1) ?? {};
    return (request as { source: { kind: { value: Record<string, unknown> } } }).source.kind.value;
  };
  const { bootstrapServers, topic, consumerGroup, start, commit, tls, sasl } = told();
  assert.deepEqual([bootstrapServers, topic, consumerGroup], [["a:9092,b:9092"], "orders", "millrace"]);
  assert.deepEqual([start, commit], [KafkaStart.KAFKA_START_EARLIEST, KafkaCommit.KAFKA_COMMIT_DURABLE]);
  assert.deepEqual([tls, sasl], [undefined, undefined]);
  await processor.addKafkaSource({
    ...least,
    start: "latest",
    commit: "out",
    tls: { ca: { secret: "kafka-ca" } },
    sasl: { mechanism: "scram-sha-512", username: "millrace", password: { secret: "kafka-password" } },
  });
  assert.deepEqual(told()["sasl"], {
    mechanism: "scram-sha-512",
    username: { kind: { $case: "text", value: "millrace" } },
    password: { kind: { $case: "secret", value: "kafka-password" } },
  });
  const add = (options: object) =>
    processor.addKafkaSource({ ...least, ...options } as unknown as KafkaSourceOptions);
  await assert.rejects(add({ topic: "" }), { field: "topic" });
  await assert.rejects(add({ bootstrapServers: [] }), { field: "bootstrapServers" });
  await assert.rejects(add({ start: "middle" }), { field: "start" });
  await assert.rejects(add({ commit: "never" }), { field: "commit" });
  await assert.rejects(add({ sasl: { mechanism: "plain", username: "a" } }), { field: "sasl.password" });
  await assert.rejects(add({ tls: { ca: 1 } }), { field: "tls.ca" });
  await assert.rejects(add({ group: "g" }), { field: "group" });
});
