import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import test, { type TestContext } from "node:test";
import { createHealthServer } from "./health-server.js";
import { createLifecycle } from "./lifecycle.js";
import { silentLogger } from "./logger.js";
import { createMetrics } from "./metrics.js";

const localhost = { host: "127.0.0.1", port: 0 };
const never = new AbortController().signal;

async function serving(t: TestContext) {
  let sentence: string | undefined;
  const lifecycle = createLifecycle([{ name: "broker", health: () => sentence }], silentLogger);
  await lifecycle.start();
  const metrics = createMetrics("test", "0");
  const server = createHealthServer(localhost, () => lifecycle, metrics);
  await server.start?.();
  t.after(() => server.stop?.(never));
  const get = async (path: string): Promise<[number, string]> => {
    const response = await fetch(`http://127.0.0.1:${server.port()}${path}`);
    return [response.status, await response.text()];
  };
  return { get, server, metrics, say: (now: string | undefined) => (sentence = now) };
}

test("it is ready when every component is well, and says who is not", async (t) => {
  const { get, say } = await serving(t);
  assert.deepEqual(await get("/readyz"), [200, "ok\n"]);
  say("not connected to the broker");
  assert.deepEqual(await get("/readyz"), [503, "broker: not connected to the broker\n"]);
  assert.deepEqual(await get("/livez"), [200, "ok\n"]);
  say(undefined);
  assert.deepEqual(await get("/readyz?verbose"), [200, "ok\n"]);
  assert.equal((await get("/nothing"))[0], 404);
});

test("metrics are shown with service and instance", async (t) => {
  const { get, metrics } = await serving(t);
  metrics.counter("millrace_things_total", "Things.", ["kind"]).inc({ kind: "a" });
  const [status, text] = await get("/metrics");
  assert.equal(status, 200);
  assert.match(text, /millrace_things_total\{kind="a",service="test",instance="0"\} 1/);
});

test("a request line that is no URL is answered, not fatal", async (t) => {
  const { get, server } = await serving(t);
  for (const target of ["//", "/%", "*", "http://[", "/readyz?%"]) {
    const socket = connect(server.port(), "127.0.0.1");
    socket.end(`GET ${target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    socket.resume();
    await once(socket, "close");
  }
  assert.equal((await get("/livez"))[0], 200);
});

test("a port in use is refused with the setting and what to do", async (t) => {
  const { server } = await serving(t);
  const second = createHealthServer(
    { host: "127.0.0.1", port: server.port() },
    () => createLifecycle([], silentLogger),
    createMetrics("other", "0"),
  );
  await assert.rejects(async () => second.start?.(), {
    code: "failed_precondition",
    field: "http.port",
    message: `listen on 127.0.0.1:${server.port()}: port ${server.port()} is in use`,
    remedy: "Stop what uses it or set another port.",
  });
});
