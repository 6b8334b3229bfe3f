import assert from "node:assert/strict";
import test from "node:test";
import { helm, twoAtATime } from "./render.js";

/** Values that are refused, and what the sentence names. */
const refused: [values: Record<string, unknown>, named: RegExp][] = [
  [{ profile: "tiny" }, /profile/],
  [{ gatway: {} }, /gatway/],
  [{ gateway: { replica: 2 } }, /replica\b/],
  [{ gateway: { replicas: "two" } }, /gateway.replicas/],
  [{ nats: { replicas: 2 } }, /nats.replicas/],
  [{ nats: { enabled: false } }, /nats\.external\.url/],
  [
    { autoscaling: { mode: "keda" }, nats: { enabled: false, external: { url: "tls://nats.example:4222" } } },
    /nats\.external\.monitorUrl/,
  ],
  [{ nats: { external: { url: "nats.example:4222" } } }, /nats.external.url/],
  [{ tls: { mode: "off" } }, /tls.mode/],
  [{ tls: { certManager: { duration: "90 days" } } }, /tls.certManager.duration/],
  [{ autoscaling: { mode: "vpa" } }, /autoscaling.mode/],
  [{ auth: { role: "root" } }, /auth.role/],
  [{ userId: 0 }, /userId/],
  [{ image: { digest: "sha256:abc" } }, /image.digest/],
  [{ image: { pullPolicy: "Sometimes" } }, /image.pullPolicy/],
  [{ nats: { image: { tag: 2.15 } } }, /nats.image.tag/],
  [{ volumes: { raw: { size: "ten" } } }, /volumes.raw.size/],
  [{ volumes: { shared: true }, buffer: { replicas: 2 } }, /buffer\.replicas/],
  [{ privacy: { heapPercent: 120 } }, /privacy.heapPercent/],
  [{ privacy: { resources: { limit: {} } } }, /limit\b/],
  [{ privacy: { resources: { limits: { memory: "1 GB" } } } }, /privacy.resources.limits.memory/],
  [{ privacy: { autoscaling: { minReplicas: 5, maxReplicas: 2 } } }, /privacy\.autoscaling\.minReplicas/],
  [{ commonLabels: { "app.kubernetes.io/component": "x" } }, /commonLabels/],
  [{ privacy: { podLabels: { "app.kubernetes.io/name": "x" } } }, /privacy.podLabels/],
  [{ gateway: { ingress: { enabled: true } } }, /gateway\.ingress\.hosts/],
  [{ preStopSeconds: -1 }, /preStopSeconds/],
  // Settings of the services, by their own schemas.
  [{ config: { logLevel: "loud" } }, /config.logLevel/],
  [{ config: { drainTimeout: 1 } }, /drainTimeout\b/],
  [{ privacy: { config: { inFlightMax: 0 } } }, /privacy.config.inFlightMax/],
  [{ privacy: { config: { filter: { thread: 2 } } } }, /thread\b/],
  [{ output: { config: { storage: { commitIntervalMs: 5000 } } } }, /output.config.storage.commitIntervalMs/],
  [{ output: { egress: { publicPorts: [0] } } }, /output.egress.publicPorts/],
  [{ output: { egress: { webhooks: [{ cidr: "10.0.0.0", ports: [443] }] } } }, /output.egress.webhooks/],
  [{ output: { egress: { kafka: [{ cidr: "10.0.0.0/8" }] } } }, /output.egress.kafka/],
  // What the chart makes itself, from its volumes, ports and certificates.
  [{ output: { config: { storage: { root: "/x" } } } }, /root\b/],
  [{ buffer: { config: { http: { port: 80 } } } }, /http\b/],
  [{ inference: { config: { node: "a" } } }, /node\b/],
];

const accepted: Record<string, unknown>[] = [
  { global: { image: { registry: "r.example" }, ofTheParent: { a: 1 } } },
  { gateway: { replicas: null, resources: { limits: { memory: "1.5Gi", cpu: 2, "example.com/gpu": 1 } } } },
  { config: { logLevel: "debug", handlingMsMax: 120_000 } },
  { output: { config: { inFlightMax: 8, storage: { commitIntervalMs: 10 } } } },
  { volumes: { raw: { size: "1Ti" } }, nats: { storage: { size: "20G" } } },
];

for (const major of [3, 4] as const) {
  test(`Helm ${major} refuses bad values with a sentence that names the field`, async () => {
    const runs = await twoAtATime(refused, ([values]) => helm("template", { values, helm: major }));
    for (const [at, [values, named]] of refused.entries()) {
      const { code, stderr } = runs[at] ?? { code: 0, stderr: "" };
      const shown = JSON.stringify(values);
      assert.notEqual(code, 0, `${shown} passes`);
      // The majors write paths with dots or slashes.
      assert.match(stderr.replaceAll("/", "."), named, shown);
    }
  });

  test(`Helm ${major} takes what only looks unusual`, async () => {
    const runs = await twoAtATime(accepted, (values) => helm("template", { values, helm: major }));
    for (const [at, { code, stderr }] of runs.entries()) {
      assert.equal(code, 0, `${JSON.stringify(accepted[at])}: ${stderr}`);
    }
  });
}
