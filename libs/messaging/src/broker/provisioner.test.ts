import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { AckPolicy } from "@nats-io/jetstream";
import { silentLogger, systemClock } from "@millrace/runtime";
import { eventually } from "@millrace/runtime/testing";
import { type NatsServer, startNats } from "../testing/nats-server.js";
import { type Broker, connectAs } from "./broker.js";
import { askDurability } from "./durability.js";
import { adminUser } from "./permissions.js";
import { provision } from "./provisioner.js";
import { buckets, consumerPlans, streamPlans } from "./streams.js";

const mib = 1024 * 1024;
let nats: NatsServer;
let admin: Broker;

before(async () => {
  nats = await startNats({ storeBytes: 512 * mib, provisioned: false });
  admin = await nats.connect(adminUser);
});
after(async () => {
  await admin.connection.close();
  await nats.stop();
});

async function picture() {
  const streams: Record<string, unknown> = {};
  for await (const { config, state } of admin.manager.streams.list()) {
    const { max_bytes, retention, discard, subjects } = config;
    streams[config.name] = { max_bytes, retention, discard, subjects, consumers: state.consumer_count };
  }
  return streams;
}

test("a service that comes before its streams waits until all of them are there", async () => {
  const waiting = "the broker is not provisioned, waiting";
  const warnings: string[] = [];
  const log = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
  const config = { nats: { url: nats.url, requireDurable: false, ...nats.credentialsOf("privacy") } };
  const connecting = connectAs("privacy", config, { log, clock: systemClock, fail: assert.fail });
  await eventually(() => warnings.includes(waiting), { what: "it says that it waits" });
  await provision(admin, { storeBytes: 512 * mib });
  const broker = await connecting;
  await broker.manager.consumers.info("RAW", "privacy-high");
  assert.deepEqual(warnings, [waiting]);
  await broker.stop?.(AbortSignal.timeout(1_000));
});

test("provisioning twice makes every stream, consumer and bucket once", async () => {
  await provision(admin, { storeBytes: 512 * mib });
  const first = await picture();
  assert.equal(Object.keys(first).length, streamPlans.length + Object.keys(buckets).length);
  for (const plan of consumerPlans) {
    const { config } = await admin.manager.consumers.info(plan.stream, plan.name);
    assert.equal(config.filter_subject, plan.filter);
    assert.equal(config.max_ack_pending, plan.ackPendingMax);
  }
  await provision(admin, { storeBytes: 512 * mib });
  assert.deepEqual(await picture(), first);
});

test("provisioning with another size of the store changes every bound and keeps what is stored", async () => {
  await provision(admin, { storeBytes: 512 * mib });
  await admin.js.publish("$KV.CONFIG.stream.default.s", "kept");
  await provision(admin, { storeBytes: 256 * mib });
  for await (const { config, state } of admin.manager.streams.list()) {
    assert.ok(config.max_bytes > 0 && config.max_bytes <= 0.2 * 256 * mib, config.name);
    if (config.name === "KV_CONFIG") assert.equal(state.messages, 1);
  }
});

test("a consumer that was set differently is brought back to the plan", async () => {
  await provision(admin, { storeBytes: 512 * mib });
  await admin.manager.consumers.update("RAW", "privacy-high", { max_ack_pending: 7 });
  await provision(admin, { storeBytes: 512 * mib });
  const { config } = await admin.manager.consumers.info("RAW", "privacy-high");
  assert.equal(config.max_ack_pending, 16_384);
});

test("a durable of an earlier version goes, and what it had not settled comes to its successor", async () => {
  await provision(admin, { storeBytes: 512 * mib });
  await admin.manager.consumers.add("ENRICHED", {
    durable_name: "store",
    filter_subject: "enriched.*.*.y.*.>",
    ack_policy: AckPolicy.Explicit,
  });
  for (const { stream, name } of consumerPlans) {
    if (stream === "ENRICHED") await admin.manager.consumers.delete(stream, name);
  }
  const privacy = await nats.connect("privacy");
  await privacy.js.publish("enriched.n.n.y.n.batch.any.default.s", "unsettled");
  await privacy.connection.close();
  await provision(admin, { storeBytes: 512 * mib });
  await assert.rejects(admin.manager.consumers.info("ENRICHED", "store"), /consumer not found/);
  const { num_pending } = await admin.manager.consumers.info("ENRICHED", "store-batch");
  assert.equal(num_pending, 1);
  assert.equal((await admin.manager.consumers.info("ENRICHED", "store-high")).num_pending, 0);
});

test("shares of the store add up to less than all of it", () => {
  const shares = streamPlans.reduce((sum, plan) => sum + plan.share, 0);
  assert.ok(shares + 4 * 0.02 < 1);
});

test("our broker is known to sync before it acknowledges; one that can't be asked is not", async () => {
  assert.equal(await askDurability(nats.monitorUrl, true), "synced");
  assert.equal(await askDurability("http://127.0.0.1:1", false), "unverified");
  await assert.rejects(askDurability(undefined, true), {
    code: "failed_precondition",
    field: "nats.requireDurable",
  });
});
