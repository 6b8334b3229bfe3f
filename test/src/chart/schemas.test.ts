import assert from "node:assert/strict";
import test from "node:test";
import type { KubeObject } from "./objects.js";
import { schemaCheck } from "./schemas.js";
import { obtainChartTools } from "./tools.js";

const container = { name: "a", image: "a:1" };
const deployment = (pod: Record<string, unknown>, extra: Record<string, unknown> = {}): KubeObject => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "a" },
  spec: { selector: { matchLabels: { a: "a" } }, template: { metadata: { labels: { a: "a" } }, spec: pod } },
  ...extra,
});

const { schemas } = await obtainChartTools();
for (const [version, file] of Object.entries(schemas)) {
  const check = schemaCheck(file);

  test(`Kubernetes ${version} takes a Deployment and a custom object as they should be`, () => {
    assert.deepEqual(check(deployment({ containers: [container] })), []);
    assert.deepEqual(check(issuer({ selfSigned: {} })), []);
  });

  test(`Kubernetes ${version} refuses unknown fields, wrong types, kinds it does not serve`, () => {
    const misspelt = deployment({ containers: [{ ...container, imagePullPolice: "Always" }] });
    assert.match(check(misspelt).join(), /Deployment\/a: .*containers\/0 .*\(imagePullPolice\)/);
    const ports = [{ containerPort: "7070" }];
    assert.match(check(deployment({ containers: [{ ...container, ports }] })).join(), /must be integer/);
    assert.match(check(deployment({})).join(), /must have required property 'containers'/);
    assert.match(check(deployment({ containers: [container] }, { sepc: {} })).join(), /sepc/);
    const old = { ...deployment({ containers: [container] }), apiVersion: "apps/v1beta1" };
    assert.match(check(old).join(), /apps\/v1beta1 Deployment is not known/);
    assert.match(check(issuer({ selfsigned: {} })).join(), /Issuer\/a: .*selfsigned/);
  });
}

function issuer(spec: Record<string, unknown>): KubeObject {
  return { apiVersion: "cert-manager.io/v1", kind: "Issuer", metadata: { name: "a" }, spec };
}
