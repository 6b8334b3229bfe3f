import assert from "node:assert/strict";
import test from "node:test";
import { Source, type Value } from "@millrace/proto/source";
import { completeSource, shownSource } from "./source-settings.js";

const text = (value: string): Value => ({ kind: { $case: "text", value } });
const secret = (value: string): Value => ({ kind: { $case: "secret", value } });
const complete = (kafka: object): Source => {
  const value = { bootstrapServers: ["a:9092"], topic: "orders", consumerGroup: "g", ...kafka };
  return completeSource("default", Source.fromPartial({ stream: "s", kind: { $case: "kafka", value } }));
};
const sasl = { mechanism: "PLAIN", username: text("me"), password: text("hunter2") };

test("credentials are no part of the id, nor shown; names of secrets are", () => {
  const source = complete({ sasl, tls: { ca: text("-----BEGIN CERTIFICATE-----") } });
  const renewed = { ...sasl, password: secret("kafka-password") };
  assert.equal(source.id, complete({ sasl: renewed, tls: { ca: secret("ca") } }).id);
  assert.notEqual(source.id, complete({ sasl }).id, "without TLS it is another");
  assert.notEqual(source.id, complete({ topic: "others" }).id);
  assert.equal(
    complete({ bootstrapServers: ["a:1,b:2"] }).id,
    complete({ bootstrapServers: ["b:2", "a:1"] }).id,
  );
  const shown = JSON.stringify([shownSource(source), shownSource(complete({ sasl: renewed }))]);
  assert.doesNotMatch(shown, /hunter2|BEGIN/);
  assert.match(shown, /kafka-password/);
});

test("defaults are filled in", () => {
  const defaults = { start: 1, commit: 1 };
  assert.equal(complete({}).id, complete(defaults).id);
  assert.equal(complete({ sasl }).id, complete({ sasl: { ...sasl, mechanism: "plain" } }).id);
});

test("each bad setting is refused by its field", () => {
  const cases: [field: string, kafka: object][] = [
    ["bootstrap_servers", { bootstrapServers: [] }],
    ["bootstrap_servers", { bootstrapServers: ["kafka"] }],
    ["bootstrap_servers", { bootstrapServers: ["kafka://a:9092"] }],
    ["bootstrap_servers", { bootstrapServers: ["me:pw@a:9092"] }],
    ["bootstrap_servers", { bootstrapServers: Array.from({ length: 33 }, (_, at) => `a${at}:9092`) }],
    ["topic", { topic: "" }],
    ["topic", { topic: "a b" }],
    ["topic", { topic: ".." }],
    ["topic", { topic: "a".repeat(250) }],
    ["consumer_group", { consumerGroup: "" }],
    ["consumer_group", { consumerGroup: "a b" }],
    ["start", { start: 7 }],
    ["commit", { commit: 7 }],
    ["driver", { driver: "librdkafka" }],
    ["source_id", { sourceId: "a\nb" }],
    ["tls.ca", { tls: { ca: text("no pem") } }],
    ["tls.ca", { tls: { ca: secret("../ca") } }],
    ["tls.key", { tls: { cert: secret("cert") } }],
    ["sasl.mechanism", { sasl: { ...sasl, mechanism: "gssapi" } }],
    ["sasl.username", { sasl: { ...sasl, username: undefined } }],
    ["sasl.password", { sasl: { ...sasl, password: text("") } }],
    ["sasl.password", { sasl: { ...sasl, password: text("***") } }],
  ];
  for (const [field, kafka] of cases) {
    assert.throws(
      () => complete(kafka),
      { code: "invalid_argument", field: `source.kafka.${field}` },
      JSON.stringify(kafka),
    );
  }
});
