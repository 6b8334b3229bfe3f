import assert from "node:assert/strict";
import { test } from "node:test";
import { testStream } from "@millrace/sdk/testing";
import { greet } from "./handler.js";

// A handler is tested without a server: no broker, no gateway, and a clock that only the test moves.
test("a greeting is published, and a customer who is not known yet is tried again", async () => {
  await using stream = testStream();
  const customers = new Map([["c1", "Ada"]]);
  stream.onTextMessage((message) => greet(stream, customers, message));
  await stream.publish([
    { text: "hello", sourceId: "c1" },
    { text: "hello", sourceId: "c2" },
  ]);
  assert.deepEqual(stream.results, [{ sourceId: "c1", kind: "greeting", value: "hello, Ada" }]);
  customers.set("c2", "Grace");
  await stream.advance("5s");
  assert.equal(stream.results[1]?.value, "hello, Grace");
});
