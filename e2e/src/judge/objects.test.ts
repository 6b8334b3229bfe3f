import assert from "node:assert/strict";
import test from "node:test";
import type { KubeObject } from "../cluster/kubectl.js";
import { findChanged, findLeftovers } from "./objects.js";

const secret: KubeObject = {
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "ca", uid: "1", resourceVersion: "10" },
  data: { "tls.crt": "abc" },
};
const workload: KubeObject = {
  apiVersion: "apps/v1",
  kind: "StatefulSet",
  metadata: { name: "buffer", uid: "2", resourceVersion: "11", generation: 1 },
  spec: { replicas: 2 },
  status: { readyReplicas: 2 },
};
const pod: KubeObject = { apiVersion: "v1", kind: "Pod", metadata: { name: "buffer-0", uid: "3" } };
const before = [secret, workload, pod];
const withMeta = (object: KubeObject, metadata: Partial<KubeObject["metadata"]>): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, ...metadata },
});

test("what only controllers have written is no change", () => {
  const after = [
    secret,
    { ...withMeta(workload, { resourceVersion: "99" }), status: { readyReplicas: 1 } },
    withMeta(pod, { uid: "other" }),
  ];
  assert.deepEqual(findChanged(before, after), []);
});

test("each change of an object is found", () => {
  const changes: [KubeObject[], RegExp][] = [
    [[withMeta(secret, { resourceVersion: "12" }), workload], /Secret\/ca was written/],
    [[{ ...secret, data: { "tls.crt": "abd" } }, workload], /Secret\/ca has changed/],
    [[withMeta(secret, { uid: "9" }), workload], /Secret\/ca was made anew/],
    [[secret, { ...workload, spec: { replicas: 3 } }], /StatefulSet\/buffer has changed/],
    [[secret, withMeta(workload, { annotations: { a: "b" } })], /StatefulSet\/buffer has changed/],
    [[secret], /StatefulSet\/buffer is gone/],
    [[secret, workload, withMeta(secret, { name: "new" })], /Secret\/new is new/],
  ];
  for (const [after, found] of changes) {
    assert.match(findChanged(before, after).join("\n"), found);
    assert.equal(findChanged(before, after).length, 1);
  }
  assert.deepEqual(findChanged([], []), ["there were no objects to compare"]);
});

test("claims and what is annotated may stay, the rest and every pod may not", () => {
  const keep = { "helm.sh/resource-policy": "keep" };
  const claim: KubeObject = {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name: "raw" },
  };
  assert.deepEqual(findLeftovers([claim, withMeta(secret, { annotations: keep })]), []);
  assert.deepEqual(findLeftovers([claim, secret, pod]), ["Secret/ca", "Pod/buffer-0"]);
});
