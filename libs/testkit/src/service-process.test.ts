import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { seedFile } from "@millrace/messaging";
import { BufferServiceClient } from "@millrace/proto/buffer";
import { callUnary, insecure, systemClock } from "@millrace/runtime";
import { eventually, freePort, startNats, startOtlpReceiver, startService } from "./index.js";

test("a service starts, exports its spans, is killed and comes back with its log kept", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "millrace-service-"));
  const nats = await startNats();
  const otlp = await startOtlpReceiver();
  const port = await freePort();
  const buffer = await startService({
    name: "buffer",
    dir,
    env: otlp.env,
    config: {
      nats: {
        url: nats.url,
        monitorUrl: nats.monitorUrl,
        seedFile: seedFile(nats.keysDir, "buffer"),
        requireDurable: true,
      },
      grpc: { port },
      segments: { rawDir: join(dir, "raw") },
    },
  });
  t.after(async () => {
    await buffer.kill("SIGKILL");
    await otlp.stop();
    await nats.stop();
    await rm(dir, { recursive: true, force: true });
  });
  const client = new BufferServiceClient(`127.0.0.1:${port}`, insecure);
  const asked = { tenant: "default", stream: "s", source: "0".repeat(32), from: 0 };
  const call = { attempted: "ask", deadlineMs: 5_000, now: systemClock.now() };
  assert.deepEqual(await callUnary(client.lastPosition.bind(client), asked, call), { position: 0 });
  client.close();
  const named = ({ name }: { name: string }): boolean =>
    name === "millrace.buffer.v1.BufferService/LastPosition";
  const span = await eventually(() => otlp.spans().find(named), { what: "the exporter's span" });
  assert.equal(span.service, "buffer");

  const first = buffer.pid();
  assert.equal(await buffer.kill("SIGKILL"), null);
  await buffer.start();
  assert.notEqual(buffer.pid(), first);
  assert.equal(await buffer.stop(), 0);
  assert.equal((await buffer.logText()).match(/"msg":"ready"/g)?.length, 2);
});

test("a service that can't start shows what it said", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "millrace-service-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await assert.rejects(
    startService({ name: "buffer", dir, config: { colour: "red" } }),
    /unknown key colour/,
  );
});

test("spans are received as the exporter sends them", async (t) => {
  const otlp = await startOtlpReceiver();
  t.after(() => otlp.stop());
  const span = { name: "send raw", traceId: "a".repeat(32), spanId: "b".repeat(16), attributes: [] };
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "buffer" } }] };
  await fetch(`${otlp.env["OTEL_EXPORTER_OTLP_ENDPOINT"]}/v1/traces`, {
    method: "POST",
    body: JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] }),
  });
  const received = await eventually(() => otlp.spans()[0], { what: "the span" });
  assert.deepEqual([received.service, received.name, received.parentSpanId], ["buffer", "send raw", ""]);
});
