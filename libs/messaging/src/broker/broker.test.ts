import assert from "node:assert/strict";
import test from "node:test";
import { silentLogger } from "@millrace/runtime";
import { freePort } from "../testing/index.js";
import { connectBroker } from "./broker.js";

test("where nobody listens, whoever does not wait is told the address and what to do", async () => {
  const url = `nats://127.0.0.1:${await freePort()}`;
  const options = { url, user: "gateway", log: silentLogger, waits: false, onClosed: () => undefined };
  await assert.rejects(connectBroker(options), (caught) => {
    assert.match(String(caught), new RegExp(`^unavailable: connect to the broker at ${url}: .*nats\\.url`));
    return true;
  });
});
