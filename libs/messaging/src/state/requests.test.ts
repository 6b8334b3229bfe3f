import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { CodedError } from "@millrace/errors";
import { type CleanRequest, type CleanResponse } from "@millrace/proto/work";
import { testRuntime } from "@millrace/runtime/testing";
import { natsWorkbench } from "../testing/workbench.js";
import { cleanEndpoint } from "./endpoints.js";
import { ask, serveRequests } from "./requests.js";

const bench = natsWorkbench();
const stop = new AbortController().signal;
const request: CleanRequest = { tenant: "default", stream: "s", texts: ["a text"], names: [], bodies: [] };

/** Stops with its test at the latest: it would answer the next one's requests. */
async function serving(t: TestContext, handle: (asked: CleanRequest) => Promise<CleanResponse>) {
  const server = serveRequests(await bench.connect("privacy"), testRuntime(), cleanEndpoint, handle);
  await server.start?.();
  let stopped: Promise<void> | undefined;
  const stopOnce = (): Promise<void> => (stopped ??= Promise.resolve(server.stop?.(stop)));
  t.after(stopOnce);
  return { stop: stopOnce };
}

test("a request is answered by whoever serves it", async (t) => {
  await serving(t, async ({ texts }) => ({
    texts: texts.map((text) => text.toUpperCase()),
    names: [],
    bodies: [],
    policy: "",
  }));
  const answer = await ask(await bench.connect("gateway"), cleanEndpoint, request, 20_000);
  assert.deepEqual(answer.texts, ["A TEXT"]);
});

test("a failure arrives with its code, field and remedy", async (t) => {
  await serving(t, async () => {
    throw new CodedError("invalid_argument", "clean: too many items", {
      field: "texts",
      remedy: "Send fewer.",
    });
  });
  await assert.rejects(ask(await bench.connect("gateway"), cleanEndpoint, request, 20_000), {
    code: "invalid_argument",
    message: "clean: too many items",
    field: "texts",
    remedy: "Send fewer.",
  });
});

test("a malformed request is the asker's mistake, and the next one is answered", async (t) => {
  await serving(t, async () => ({ texts: ["fine"], names: [], bodies: [], policy: "" }));
  const gateway = await bench.connect("gateway");
  const broken = {
    ...cleanEndpoint,
    request: { ...cleanEndpoint.request, encode: () => ({ finish: () => Buffer.from([0xff]) }) },
  };
  await assert.rejects(ask(gateway, broken, request, 20_000), { code: "invalid_argument" });
  assert.deepEqual((await ask(gateway, cleanEndpoint, request, 20_000)).texts, ["fine"]);
});

test("with nobody serving a request is unavailable at once, long before its time is over", async () => {
  const gateway = await bench.connect("gateway");
  // A wait of an hour would outlast the test; no responder is told by the broker.
  await assert.rejects(ask(gateway, cleanEndpoint, request, 3_600_000), {
    code: "unavailable",
    retryAfterMs: 500,
  });
});

test("stopping answers what is in hand", async (t) => {
  let finish: (() => void) | undefined;
  let begun: (() => void) | undefined;
  const started = new Promise<void>((resolve) => (begun = resolve));
  const server = await serving(t, async () => {
    await new Promise<void>((resolve) => {
      finish = resolve;
      begun?.();
    });
    return { texts: ["last"], names: [], bodies: [], policy: "" };
  });
  const asked = ask(await bench.connect("gateway"), cleanEndpoint, request, 20_000);
  await started;
  const stopping = server.stop();
  finish?.();
  assert.deepEqual((await asked).texts, ["last"]);
  await stopping;
});
