import assert from "node:assert/strict";
import { test } from "node:test";
import { CodedError } from "@millrace/errors";
import { createKafkaProducers, type ProducerSettings } from "./kafka-producers.js";

const settings: ProducerSettings = {
  connection: { bootstrapServers: ["k:9092"], tls: undefined, sasl: undefined },
  compression: "none",
};
const wrong = (code: "invalid_argument" | "unavailable") => new CodedError(code, "kafka: send");

test("a producer stays where a record is refused, and is made anew after other errors", async () => {
  let made = 0;
  let closed = 0;
  let startFails = false;
  const producers = createKafkaProducers({
    secrets: { valueOf: async () => "" },
    field: "kafka",
    createProducer: () => ({
      start: async () => {
        made++;
        if (startFails) throw wrong("invalid_argument");
      },
      send: async () => undefined,
      close: async () => void closed++,
    }),
  });
  const use = (work: () => Promise<string>): Promise<string> => producers.use("t", settings, work);
  let finish = (): void => undefined;
  const sending = use(() => new Promise((resolve) => (finish = () => resolve("sent"))));
  await assert.rejects(
    use(async () => Promise.reject(wrong("invalid_argument"))),
    { code: "invalid_argument" },
  );
  assert.deepEqual([made, closed], [1, 0], "a send is under way on it");
  finish();
  assert.equal(await sending, "sent");
  await assert.rejects(
    use(async () => Promise.reject(wrong("unavailable"))),
    { code: "unavailable" },
  );
  startFails = true;
  await assert.rejects(
    use(async () => "sent"),
    { code: "invalid_argument" },
  );
  startFails = false;
  assert.equal(await use(async () => "sent"), "sent");
  assert.equal(made, 3);
  await producers.stop?.(new AbortController().signal);
  assert.equal(closed, 2);
});
