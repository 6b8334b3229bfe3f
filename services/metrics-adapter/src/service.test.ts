import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { type Broker, createLedger, provision } from "@millrace/messaging";
import { eventually, testRuntime } from "@millrace/runtime/testing";
import { metricNames } from "./api/metric-query.js";
import { api, type Asking, type RunningAdapter, startAdapter } from "./testing.js";

let adapter: RunningAdapter;
let privacy: Broker;
let buffer: Broker;
/** What the pods of all three services tell. */
let told = "";
const pods = createServer((_request, response) => {
  if (told === "") response.writeHead(500).end();
  else response.end(told);
});

before(async () => {
  await once(pods.listen(0, "127.0.0.1"), "listening");
  const at = `127.0.0.1:${(pods.address() as AddressInfo).port}`;
  adapter = await startAdapter({ gateway: at, search: at, buffer: at });
  privacy = await adapter.nats.connect("privacy");
  buffer = await adapter.nats.connect("buffer");
});
after(async () => {
  await Promise.all([privacy, buffer].map((broker) => broker.connection.close()));
  await adapter.stop();
  pods.close();
  pods.closeAllConnections();
});

const lag = `${api}/namespaces/millrace/lag_batches?labelSelector=stage%3Dprivacy`;
let published = 0;

async function publish(count: number, subject: string): Promise<void> {
  for (let at = 0; at < count; at++) {
    published += 1;
    await buffer.js.publish(subject, Buffer.from("x"), { msgID: `${published}` });
  }
}

async function settle(count: number, consumer: string): Promise<void> {
  const messages = await privacy.js.consumers.get("RAW", consumer);
  for (let at = 0; at < count; at++) await (await messages.next({ expires: 5_000 }))?.ackAck();
}

test("discovery tells the API group, its version and each metric", async () => {
  const groups = await adapter.get("/apis");
  assert.equal(groups.body["kind"], "APIGroupList");
  const one = await adapter.get("/apis/external.metrics.k8s.io");
  assert.deepEqual(one.body["preferredVersion"], {
    groupVersion: "external.metrics.k8s.io/v1beta1",
    version: "v1beta1",
  });
  const { body, type } = await adapter.get(api);
  assert.equal(type, "application/json");
  assert.equal(body["kind"], "APIResourceList");
  assert.equal(body["groupVersion"], "external.metrics.k8s.io/v1beta1");
  const resources = body["resources"] as { name: string; namespaced: boolean; kind: string }[];
  assert.deepEqual(
    resources.map(({ name }) => name),
    metricNames,
  );
  assert.ok(resources.every(({ namespaced, kind }) => namespaced && kind === "ExternalMetricValueList"));
  assert.equal((await adapter.get("/openapi/v2")).body["swagger"], "2.0");
});

test("a list of another form is not acceptable, as of a server that does not know it", async () => {
  const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  assert.equal((await adapter.get("/apis", { headers: { accept } })).status, 406);
  const both = { headers: { accept: `${accept}, application/json` } };
  assert.equal((await adapter.get("/apis", both)).status, 200);
  const protobuf = { headers: { accept: "application/vnd.kubernetes.protobuf, */*" } };
  assert.equal((await adapter.get("/apis", protobuf)).status, 200);
});

test("a value has the form that the autoscaler reads", async () => {
  const { status, body } = await adapter.get(lag);
  assert.equal(status, 200);
  const { items, ...list } = body as { items: Record<string, unknown>[] };
  assert.deepEqual(list, {
    kind: "ExternalMetricValueList",
    apiVersion: "external.metrics.k8s.io/v1beta1",
    metadata: {},
  });
  const [item] = items;
  assert.match(String(item?.["timestamp"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.deepEqual(
    { ...item, timestamp: "" },
    { metricName: "lag_batches", metricLabels: { stage: "privacy" }, timestamp: "", value: "0" },
  );
});

const refusals: [string, Asking, number, RegExp][] = [
  ["without a certificate", { as: null }, 401, /no client certificate/],
  ["with a token only", { as: null, headers: { authorization: "Bearer x" } }, 401, /no client certificate/],
  [
    "with headers and no certificate",
    { as: null, headers: { "x-remote-user": "root" } },
    401,
    /no client cert/,
  ],
  ["with a certificate of another CA", { isForeign: true }, 401, /another CA/],
  ["with a certificate of another name", { as: "somebody" }, 401, /not that of the API server/],
  ["without a user", { headers: { "x-remote-user": "" } }, 401, /for whom/],
];
for (const [how, asking, code, message] of refusals) {
  test(`who asks ${how} is refused as a Status`, async () => {
    const { status, body } = await adapter.get(lag, asking);
    assert.equal(status, code);
    assert.deepEqual(
      [body["kind"], body["apiVersion"], body["status"], body["reason"], body["code"]],
      ["Status", "v1", "Failure", "Unauthorized", code],
    );
    assert.match(String(body["message"]), message);
  });
}

test("probes need no certificate", async () => {
  for (const path of ["/healthz", "/livez", "/readyz"])
    assert.equal((await adapter.get(path, { as: null })).status, 200);
});

test("the cluster is asked whether the user may, with groups and all, and its no is a Status", async () => {
  adapter.cluster.judge = ({ user }) => user !== "mallory";
  adapter.cluster.reviews.length = 0;
  const headers = {
    "x-remote-user": "mallory",
    "x-remote-uid": "7",
    "x-remote-group": ["one", "two, three"],
    "x-remote-extra-scopes%2fall": "s",
  };
  const { status, body } = await adapter.get(lag, { headers });
  assert.equal(status, 403);
  assert.equal(body["reason"], "Forbidden");
  assert.match(String(body["message"]), /"mallory" cannot list resource "lag_batches".*by the test/);
  assert.deepEqual(
    [...adapter.cluster.reviews],
    [
      {
        user: "mallory",
        uid: "7",
        groups: ["one", "two, three"],
        extra: { "scopes/all": ["s"] },
        resourceAttributes: {
          namespace: "millrace",
          verb: "list",
          group: "external.metrics.k8s.io",
          version: "v1beta1",
          resource: "lag_batches",
        },
      },
    ],
  );
  await adapter.get(lag, { headers });
  assert.equal(adapter.cluster.reviews.length, 1, "the answer is kept for a while");
  await adapter.get("/apis", { headers: { "x-remote-user": "reader" } });
  const second = adapter.cluster.reviews.at(1);
  assert.deepEqual(second?.nonResourceAttributes, { path: "/apis", verb: "get" });
});

test("what is not there, or not served, is a Status of its own", async () => {
  const answers: [string, Asking, number, RegExp][] = [
    [`${api}/namespaces/other/lag_batches`, {}, 404, /namespace other are not served/],
    [`${api}/namespaces/millrace/lag_nothing`, {}, 404, /no metric lag_nothing.*Known: lag_seconds/],
    ["/apis/apps/v1", {}, 404, /nothing at/],
    [lag, { method: "POST" }, 405, /read only/],
    [`${lag}&watch=true`, {}, 405, /watched/],
    [`${api}/namespaces/millrace/lag_batches`, {}, 400, /stage is not named/],
    [`${api}/namespaces/millrace/lag_batches?labelSelector=stage%21%3Dx`, {}, 400, /label=value/],
  ];
  for (const [path, asking, code, message] of answers) {
    const { status, body } = await adapter.get(path, asking);
    assert.equal(status, code, path);
    assert.match(String(body["message"]), message);
  }
});

test("lag is that of the consumers: by stage, and by lane without the ordered partitions", async () => {
  await publish(3, "raw.high.any.default.s");
  await publish(2, "raw.batch.any.default.s");
  await publish(1, "raw.batch.p03.default.s");
  await eventually(async () => (await adapter.value("lag_batches", "stage=privacy")) === "6", {
    what: "6 wait",
  });
  assert.equal(await adapter.value("lag_batches", "stage=privacy,lane=high"), "3");
  assert.equal(await adapter.value("lag_batches", "stage=privacy,lane in (high,batch)"), "3 2");
  assert.equal(await adapter.value("lag_batches", "stage in (privacy,store)"), "6 0");
  // Nothing was settled: the age stands in, and grows.
  const age = Number.parseInt(await adapter.value("oldest_age_seconds", "stage=privacy"), 10);
  assert.ok(age > 0);
  await eventually(async () => /^\d+m?$/.test(await adapter.value("lag_seconds", "stage=privacy")), {
    what: "age",
  });
  await settle(3, "privacy-high");
  await settle(2, "privacy-batch");
  await eventually(async () => (await adapter.value("lag_batches", "stage=privacy")) === "1", {
    what: "1 waits",
  });
  assert.equal(await adapter.value("lag_seconds", "stage=privacy,lane=high"), "0");
  await adapter.nats.connect("provisioner").then(async (admin) => {
    await admin.manager.streams.purge("RAW");
    await admin.connection.close();
  });
  await eventually(async () => (await adapter.value("lag_seconds", "stage=privacy")) === "0", {
    what: "no lag",
  });
});

test("messages and bytes are those of the LEDGER, of streams that have batches at the stage", async () => {
  const ledger = await createLedger(buffer, "buffer", testRuntime());
  for (const [stream, done] of [
    ["lagging", 40],
    ["settled", 500],
  ] as const) {
    const key = { tenant: "default", stream, source: "a".repeat(32) };
    ledger.settle(key, { intervals: [{ from: 0, to: done }], done });
    await ledger.account(key);
  }
  await ledger.flush();
  assert.equal(await adapter.value("lag_messages", "stage=privacy"), "0");
  await publish(1, "raw.batch.any.default.lagging");
  await eventually(async () => (await adapter.value("lag_messages", "stage=privacy")) === "40", {
    what: "40",
  });
  assert.equal(await adapter.value("lag_messages", "stage=store"), "0");
  assert.match(await adapter.value("lag_messages", "stage=privacy,lane=high"), /^400 .*no label lane/);
  assert.match(await adapter.value("lag_bytes", "stage=privacy"), /^503 .*scrape buffer: the pod at/);
  assert.match(await adapter.value("lag_bytes", "stage=buffer"), /^503 /);
  assert.match(await adapter.value("open_streams"), /^503 .*scrape gateway/);
  assert.match(await adapter.value("search_p99_ms"), /^503 .*scrape search/);
  told = [
    'millrace_stream_live_bytes{stream="lagging"} 4000',
    'millrace_stream_live_bytes{stream="other"} 1',
    "millrace_open_streams 12",
    'millrace_search_duration_seconds_bucket{le="0.01"} 0',
    'millrace_search_duration_seconds_bucket{le="+Inf"} 0',
  ].join("\n");
  assert.equal(await adapter.value("lag_bytes", "stage=privacy"), "4000");
  assert.equal(await adapter.value("lag_bytes", "stage=buffer"), "4001");
  assert.equal(await adapter.value("open_streams"), "12");
  await eventually(async () => (await adapter.value("search_p99_ms")) === "0", { what: "a second scrape" });
  assert.match(await adapter.value("open_streams", "stage=store"), /^400 .*has no labels/);
});

test("while the cluster can't be asked nobody may, and it is said", async () => {
  adapter.cluster.judge = () => {
    throw new Error("away");
  };
  const { status, body } = await adapter.get(lag, { headers: { "x-remote-user": "another" } });
  assert.equal(status, 503);
  assert.match(
    String(body["message"]),
    /SubjectAccessReview: the cluster answered 500.*system:auth-delegator/,
  );
  adapter.cluster.judge = () => true;
});

test("a consumer that is missing makes its stage and lane unknown, and no other", async () => {
  const admin = await adapter.nats.connect("provisioner");
  await admin.manager.consumers.delete("CLEAN", "inference-high");
  const gone = /^503 lag is unknown: consumer inference-high: .*is missing/;
  await eventually(async () => gone.test(await adapter.value("lag_seconds", "stage=inference")), {
    what: "gone",
  });
  assert.match(await adapter.value("lag_messages", "stage=inference"), gone);
  assert.equal(await adapter.value("lag_seconds", "stage=inference,lane=batch"), "0");
  assert.match(await adapter.value("lag_seconds", "stage=privacy"), /^\d+m?$/);
  await provision(admin, { storeBytes: 512 * 1024 * 1024 });
  await eventually(async () => (await adapter.value("lag_seconds", "stage=inference")) === "0", {
    what: "back",
  });
  await admin.connection.close();
});

test("while the broker is away all lag is unknown and readyz says no; then it goes on", async () => {
  for (const round of ["once", "and again"]) {
    await adapter.nats.kill();
    const away = async () => /^503 .*broker is away/.test(await adapter.value("lag_seconds", "stage=store"));
    await eventually(away, { what: `unknown ${round}` });
    for (const metric of ["lag_batches", "lag_messages", "oldest_age_seconds"])
      assert.match(await adapter.value(metric, "stage=store"), /^503 /);
    assert.equal((await adapter.get("/readyz", { as: null })).status, 503);
    assert.equal(await adapter.value("open_streams"), "12");
    await adapter.nats.start();
    const back = async () => (await adapter.value("lag_seconds", "stage=store")) === "0";
    await eventually(back, { what: `known ${round}`, deadlineMs: 30_000 });
  }
  assert.equal(await adapter.value("lag_batches", "stage=privacy"), "1");
});
