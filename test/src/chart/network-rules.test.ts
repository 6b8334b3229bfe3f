import assert from "node:assert/strict";
import test from "node:test";
import { isAllowed, type Party, type Port } from "./network.js";
import type { KubeObject } from "./objects.js";

const a: Party = { name: "a", namespace: "n", labels: { app: "a" } };
const b: Party = { name: "b", namespace: "n", labels: { app: "b" }, ports: { grpc: 7070 } };
const far: Party = { name: "far", namespace: "other", labels: { app: "a" }, namespaceLabels: { team: "x" } };
const outside: Party = { name: "outside", address: "192.168.7.9" };

const policy = (spec: Record<string, unknown>): KubeObject => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name: "p" },
  spec,
});
const toB = { matchLabels: { app: "b" } };
const allowed = (policies: KubeObject[], from: Party, to: Party, port: Port = { port: 7070 }) =>
  isAllowed(policies, { from, to, port, namespace: "n" });

test("what no policy selects is open, what one selects is closed but for its rules", () => {
  assert.equal(allowed([], a, b), true);
  const closed = policy({ podSelector: {}, policyTypes: ["Ingress", "Egress"] });
  assert.equal(allowed([closed], a, b), false);
  assert.equal(allowed([closed], outside, b), false);
  assert.equal(allowed([closed], a, outside), false);
  const open = policy({ podSelector: toB, ingress: [{}] });
  assert.equal(allowed([closed, open], far, b), true);
  // The sender is still held by its own side.
  assert.equal(allowed([closed, open], a, b), false);
  const sends = policy({ podSelector: { matchLabels: { app: "a" } }, policyTypes: ["Egress"], egress: [{}] });
  assert.equal(allowed([closed, open, sends], a, b), true);
});

test("a policy with no egress rules and no types holds only what comes in", () => {
  const only = policy({ podSelector: {} });
  assert.equal(allowed([only], a, outside), true);
  assert.equal(allowed([only], a, b), false);
});

test("a pod selector alone means pods of the policy's namespace", () => {
  const near = policy({
    podSelector: toB,
    ingress: [{ from: [{ podSelector: { matchLabels: { app: "a" } } }] }],
  });
  assert.equal(allowed([near], a, b), true);
  assert.equal(allowed([near], far, b), false);
});

test("a namespace selector and a pod selector in one peer must both match", () => {
  const peer = {
    namespaceSelector: { matchLabels: { team: "x" } },
    podSelector: { matchLabels: { app: "z" } },
  };
  assert.equal(allowed([policy({ podSelector: toB, ingress: [{ from: [peer] }] })], far, b), false);
  const named = { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "other" } } };
  assert.equal(allowed([policy({ podSelector: toB, ingress: [{ from: [named] }] })], far, b), true);
  assert.equal(allowed([policy({ podSelector: toB, ingress: [{ from: [named] }] })], a, b), false);
});

test("ports are matched by number, name, range and protocol", () => {
  const on = (...ports: unknown[]) => [policy({ podSelector: toB, ingress: [{ ports }] })];
  assert.equal(allowed(on({ port: 7070 }), a, b), true);
  assert.equal(allowed(on({ port: 7071 }), a, b), false);
  assert.equal(allowed(on({ port: "grpc" }), a, b), true);
  assert.equal(allowed(on({ port: "http" }), a, b), false);
  assert.equal(allowed(on({ port: 7000, endPort: 7100 }), a, b), true);
  assert.equal(allowed(on({ port: 7070, protocol: "UDP" }), a, b), false);
  assert.equal(allowed(on({ port: 7070, protocol: "UDP" }), a, b, { port: 7070, protocol: "UDP" }), true);
});

test("an address block takes addresses outside, without its exceptions", () => {
  const from = (ipBlock: unknown) => [policy({ podSelector: toB, ingress: [{ from: [{ ipBlock }] }] })];
  assert.equal(allowed(from({ cidr: "192.168.0.0/16" }), outside, b), true);
  assert.equal(allowed(from({ cidr: "192.168.0.0/16", except: ["192.168.7.0/24"] }), outside, b), false);
  assert.equal(allowed(from({ cidr: "10.0.0.0/8" }), outside, b), false);
  assert.equal(allowed(from({ cidr: "0.0.0.0/0" }), a, b), false);
});

test("expressions of a selector hold as the API says", () => {
  const with_ = (operator: string, values?: string[]) => [
    policy({
      podSelector: { matchExpressions: [{ key: "app", operator, ...(values && { values }) }] },
    }),
  ];
  assert.equal(allowed(with_("In", ["b"]), a, b), false);
  assert.equal(allowed(with_("In", ["c"]), a, b), true);
  assert.equal(allowed(with_("NotIn", ["c"]), a, b), false);
  assert.equal(allowed(with_("Exists"), a, b), false);
  assert.equal(allowed(with_("DoesNotExist"), a, b), true);
});
