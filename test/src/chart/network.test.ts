/**
 * Who may reach whom: the policies of the chart against a matrix written down here. Every pair of parties and
 * every port that anybody listens on is tried, and what is not in the matrix must be denied.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { isAllowed, type Party, type Port } from "./network.js";
import { type KubeObject, ofKind, podsOf } from "./objects.js";
import { configOf } from "./policies/grace.js";
import { namespace, render, type Rendering, twoAtATime } from "./render.js";

const ports: Port[] = [
  ...[443, 4222, 6222, 6443, 7070, 7071, 7073, 7074, 7075, 8222].map((port) => ({ port })),
  { port: 53 },
  { port: 53, protocol: "UDP" },
];

const services = [
  "buffer",
  "gateway",
  "inference",
  "ingestion",
  "metrics-adapter",
  "output",
  "privacy",
  "semantic-search",
];

/** Parties that are no part of the release. */
const others: Party[] = [
  { name: "client", namespace, labels: { "m-millrace-client": "true" } },
  { name: "neighbour", namespace, labels: { app: "x" } },
  { name: "other release", namespace, labels: labelsOf("privacy", "o") },
  { name: "stranger", namespace: "elsewhere", labels: { "m-millrace-client": "true" } },
  { name: "prometheus", namespace: "monitoring", labels: { app: "prometheus" } },
  { name: "keda", namespace: "keda", labels: { app: "keda-operator" } },
  { name: "dns", namespace: "kube-system", labels: { "k8s-app": "kube-dns" } },
  { name: "outside", address: "203.0.113.9" },
  { name: "intranet", address: "10.1.2.3" },
];

function labelsOf(service: string, instance: string): Record<string, string> {
  return {
    "app.kubernetes.io/name": "millrace",
    "app.kubernetes.io/instance": instance,
    "app.kubernetes.io/component": service,
  };
}

/** A pod stands for all replicas of its service: what one may do to another is asked, too. */
function partiesOf(objects: readonly KubeObject[]): Party[] {
  const pods = podsOf(objects).filter(({ service }) => service !== "");
  return pods.map(({ service, labels, spec }) => ({
    name: service,
    namespace,
    labels,
    ports: Object.fromEntries(
      spec.containers.flatMap(({ ports: own = [] }) =>
        own.flatMap(({ name, containerPort }) => (name === undefined ? [] : [[name, containerPort]])),
      ),
    ),
  }));
}

/** `privacy → nats 4222` of each connection that is allowed, between others excepted. */
function allowedIn(objects: readonly KubeObject[]): string[] {
  const pods = partiesOf(objects);
  const parties = [...pods, ...others];
  return parties.flatMap((from) =>
    parties.flatMap((to) =>
      ports
        .filter(() => pods.includes(from) || pods.includes(to))
        .filter((port) => isAllowed(objects, { from, to, port, namespace }))
        .map(({ port, protocol }) => `${from.name} → ${to.name} ${port}${protocol === "UDP" ? "/UDP" : ""}`),
    ),
  );
}

const each = (froms: readonly string[], to: string): string[] => froms.map((from) => `${from} → ${to}`);

interface Choices {
  isShared: boolean;
  mode: "hpa" | "keda" | "none";
  brokers: number;
}

/** All that may pass. */
function matrix({ isShared, mode, brokers }: Choices): string[] {
  const running = services.filter((name) => mode === "hpa" || name !== "metrics-adapter");
  const users = [...running, "provisioner"];
  const pods = brokers > 0 ? [...users, "nats"] : users;
  return [
    ...each(["client"], "gateway 7070"),
    ...each(["gateway", "ingestion"], "buffer 7073"),
    ...running.flatMap((name) => each(["prometheus"], `${name} 7071`)),
    ...pods.flatMap((name) => [`${name} → dns 53`, `${name} → dns 53/UDP`]),
    // Bodies on other nodes: those of the raw side for privacy alone.
    ...(isShared
      ? []
      : [
          ...each(["privacy"], "buffer 7074"),
          ...["buffer", "privacy", "inference"].flatMap((owner) =>
            each(["inference", "semantic-search", "output"], `${owner} 7075`),
          ),
        ]),
    ...(brokers > 0
      ? [
          ...each(users, "nats 4222"),
          // Whether it syncs.
          ...each(["buffer", "gateway", "prometheus"], "nats 8222"),
        ]
      : []),
    ...(brokers > 1 ? ["nats → nats 6222"] : []),
    ...(mode === "keda" && brokers > 0 ? ["keda → nats 8222"] : []),
    // Webhooks: to public addresses, and to no private one.
    "output → outside 443",
    ...(mode === "hpa" ? adapter() : []),
  ];
}

/** API servers are no pods, so who asks them, and whom they ask, can't be told from others by address. */
function adapter(): string[] {
  const anybody = others.map(({ name }) => name);
  return [
    ...each(anybody, "metrics-adapter 6443"),
    // What it reads of their metrics: open streams, the time of searches, live bytes.
    ...each(["metrics-adapter"], "gateway 7071"),
    ...each(["metrics-adapter"], "buffer 7071"),
    ...each(["metrics-adapter"], "semantic-search 7071"),
    ...anybody.flatMap((name) => [`metrics-adapter → ${name} 443`, `metrics-adapter → ${name} 6443`]),
    "metrics-adapter → metrics-adapter 6443",
  ];
}

const cases: { name: string; values: Rendering["values"]; choices: Choices }[] = [
  { name: "small", values: {}, choices: { isShared: true, mode: "hpa", brokers: 1 } },
  {
    name: "production",
    values: { profile: "production" },
    choices: { isShared: false, mode: "hpa", brokers: 3 },
  },
  {
    name: "production, KEDA",
    values: { profile: "production", autoscaling: { mode: "keda" } },
    choices: { isShared: false, mode: "keda", brokers: 3 },
  },
  {
    name: "small, nothing scaled",
    values: { autoscaling: { mode: "none" } },
    choices: { isShared: true, mode: "none", brokers: 1 },
  },
];
const rendered = await twoAtATime(cases, ({ values }) => render({ values }));
const [small = []] = rendered;

for (const [at, { name, choices }] of cases.entries()) {
  test(`${name}: what the policies allow is the matrix, and nothing else`, () => {
    const objects = rendered[at] ?? [];
    const allowed = new Set(allowedIn(objects));
    const wanted = new Set(matrix(choices));
    assert.deepEqual([...allowed].filter((one) => !wanted.has(one)).sort(), [], "allowed beyond the matrix");
    assert.deepEqual([...wanted].filter((one) => !allowed.has(one)).sort(), [], "denied against the matrix");
  });
}

test("broken policies are seen", () => {
  const plain = allowedIn(small).join();
  const broken: Record<string, (policies: KubeObject[]) => KubeObject[]> = {
    "none at all": () => [],
    "none for inference": (policies) =>
      policies.filter(({ metadata }) => metadata.name === "m-millrace-inference"),
    "an open buffer": (policies) => changed(policies, "buffer", (spec) => ({ ...spec, ingress: [{}] })),
    "a broker for its namespace": (policies) =>
      changed(policies, "nats", (spec) => ({ ...spec, ingress: [{ from: [{ podSelector: {} }] }] })),
    "privacy may go anywhere": (policies) =>
      changed(policies, "privacy", (spec) => ({ ...spec, egress: [{}] })),
  };
  for (const [what, breakIt] of Object.entries(broken)) {
    const rest = small.filter(({ kind }) => kind !== "NetworkPolicy");
    const objects = [...rest, ...breakIt(structuredClone(ofKind(small, "NetworkPolicy")))];
    assert.notEqual(allowedIn(objects).join(), plain, what);
  }
});

function changed(
  policies: KubeObject[],
  service: string,
  change: (spec: Record<string, unknown>) => Record<string, unknown>,
): KubeObject[] {
  return policies.map((policy) =>
    policy.metadata.name === `m-millrace-${service}`
      ? { ...policy, spec: change(policy.spec ?? {}) }
      : policy,
  );
}

test("every pod of the release is under the default, however it is named", () => {
  for (const [at, { name }] of cases.entries()) {
    const objects = (rendered[at] ?? []).filter(
      ({ kind, metadata }) => kind !== "NetworkPolicy" || metadata.name.endsWith("-default-deny"),
    );
    assert.deepEqual(allowedIn(objects), [], name);
  }
});

test("a broker outside is reached at its port, and nothing else outside is", async () => {
  const external = { url: "tls://nats.example:4333" };
  const values = { autoscaling: { mode: "none" }, nats: { enabled: false, external } };
  const objects = await render({ values });
  const outside = others.find(({ name }) => name === "outside");
  assert.ok(outside !== undefined);
  for (const from of partiesOf(objects)) {
    const reaches = (port: number): boolean =>
      isAllowed(objects, { from, to: outside, port: { port }, namespace });
    assert.equal(reaches(4333), true, from.name);
    assert.equal(reaches(4222), false, from.name);
    assert.equal(reaches(443), from.name === "output", from.name);
  }
});

test("webhooks and Kafka's brokers are reached where the values say, by output alone", async () => {
  const webhooks = [{ cidr: "10.1.0.0/16", ports: [443] }];
  const kafka = [{ cidr: "10.2.0.0/16", ports: [9092, 9093] }];
  const objects = await render({ values: { output: { egress: { publicPorts: [], webhooks, kafka } } } });
  const tried = [443, 9092, 9093].flatMap((port) =>
    ["10.1.2.3", "10.2.0.7", "10.3.0.1", "203.0.113.9"].map((address) => ({ port, address })),
  );
  for (const from of partiesOf(objects)) {
    const reached = tried
      .filter(({ port, address }) =>
        isAllowed(objects, { from, to: { name: "to", address }, port: { port }, namespace }),
      )
      .map(({ port, address }) => `${address}:${port}`);
    const wanted = from.name === "output" ? ["10.1.2.3:443", "10.2.0.7:9092", "10.2.0.7:9093"] : [];
    // It asks the API server, wherever that is.
    if (from.name !== "metrics-adapter") assert.deepEqual(reached, wanted, from.name);
  }
  const output = podsOf(objects).find(({ service }) => service === "output");
  assert.ok(output !== undefined);
  const { egress } = configOf(objects, output) as { egress?: object };
  assert.deepEqual(egress, { allowPrivate: ["10.1.0.0/16"] });
});

test("who else may call gateway is said by allowFrom", async () => {
  const allowFrom = [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "elsewhere" } } }];
  const objects = await render({ values: { gateway: { allowFrom } } });
  const more = allowedIn(objects).filter((one) => !allowedIn(small).includes(one));
  assert.deepEqual(more, ["stranger → gateway 7070"]);
});
