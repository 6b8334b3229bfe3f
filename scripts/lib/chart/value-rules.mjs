/**
 * What values may be, beyond what their defaults tell: by path, where `*` stands for one key. The first rule
 * that fits holds. A rule that fits no value, and a default of null without a rule, are refused.
 *
 * @typedef {Record<string, unknown>} Schema
 */

const quantity = { type: ["string", "number"], pattern: "^[0-9]+(\\.[0-9]+)?([EPTGMk]i?|m)?$" };
const size = { type: ["string", "null"], pattern: "^[0-9]+(\\.[0-9]+)?([EPTGMk]i?)?$" };
const quantities = { type: "object", additionalProperties: quantity };
const count = { type: ["integer", "null"], minimum: 1 };
const texts = { type: "object", additionalProperties: { type: "string" } };
/** By these, objects are found by selectors: with another value a workload is refused, or unreachable. */
const selecting = "^(app\\.kubernetes\\.io/(name|instance|component)|millrace/.*)$";
const labels = { ...texts, patternProperties: { [selecting]: { not: {} } } };
const duration = { type: "string", pattern: "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$" };
const objects = { type: "array", items: { type: "object" } };
const port = { type: "integer", minimum: 1, maximum: 65_535 };
const networks = {
  type: "array",
  items: {
    type: "object",
    properties: {
      cidr: { type: "string", pattern: "^[0-9a-fA-F.:]+/[0-9]{1,3}$" },
      ports: { type: "array", items: port, minItems: 1 },
    },
    required: ["cidr", "ports"],
    additionalProperties: false,
  },
};
/** @param {string} service */
const settingsOf = (service) => ({ allOf: [{ $ref: `#/definitions/${service}` }] });

/** @type {Record<string, Schema>} */
export const valueRules = {
  profile: { enum: ["small", "production"] },
  config: settingsOf("every-service"),
  "gateway.config": settingsOf("gateway"),
  "ingestion.config": settingsOf("ingestion"),
  "buffer.config": settingsOf("buffer"),
  "privacy.config": settingsOf("privacy"),
  "inference.config": settingsOf("inference"),
  "semanticSearch.config": settingsOf("semantic-search"),
  "output.config": settingsOf("output"),
  "metricsAdapter.config": settingsOf("metrics-adapter"),
  "output.egress.publicPorts": { items: port },
  "output.egress.webhooks": networks,
  "output.egress.kafka": networks,
  userId: { minimum: 1 },
  preStopSeconds: { minimum: 0, maximum: 300 },
  graceExtraSeconds: { minimum: 1, maximum: 600 },
  "auth.role": { enum: ["user", "privacy"] },
  "model.dimensions": { minimum: 2, maximum: 4096 },
  "tls.mode": { enum: ["self", "certManager", "existing"] },
  "tls.validityDays": { minimum: 1 },
  "tls.certManager.duration": duration,
  "tls.certManager.renewBefore": duration,
  "tls.certManager.issuerRef": {
    properties: {
      name: { type: "string" },
      kind: { enum: ["Issuer", "ClusterIssuer"] },
      group: { type: "string" },
    },
    additionalProperties: false,
  },
  "tls.existing.secrets": texts,
  "volumes.shared": { type: ["boolean", "null"] },
  "volumes.*.size": size,
  "nats.storage.size": size,
  "nats.external.storeSize": size,
  "nats.replicas": { enum: [1, 3, null] },
  "nats.external.url": { pattern: "^((nats|tls|wss?)://.+)?$" },
  "nats.external.monitorUrl": { pattern: "^(https?://.+)?$" },
  "nats.preStopSeconds": { minimum: 0, maximum: 600 },
  "nats.external.replicas": { minimum: 1, maximum: 5 },
  "*.replicas": count,
  "*.autoscaling.minReplicas": count,
  "*.autoscaling.maxReplicas": count,
  // One number: sources have no lanes.
  "ingestion.autoscaling.targetLagSeconds": { exclusiveMinimum: 0 },
  "ingestion.autoscaling.targetLagMessages": { minimum: 1 },
  "*.autoscaling.targetLagSeconds": {
    properties: {
      high: { type: "number", exclusiveMinimum: 0 },
      batch: { type: "number", exclusiveMinimum: 0 },
    },
    additionalProperties: false,
  },
  "*.autoscaling.targetOpenStreams": { minimum: 1 },
  "*.heapPercent": { minimum: 10, maximum: 90 },
  "*.resources": {
    properties: { requests: quantities, limits: quantities },
    additionalProperties: false,
  },
  "*.topologySpreadConstraints": { type: ["array", "null"], items: { type: "object" } },
  "autoscaling.mode": { enum: ["hpa", "keda", "none"] },
  "autoscaling.keda.lagThreshold": { minimum: 1 },
  "autoscaling.keda.pollingInterval": { minimum: 1 },
  "gateway.ingress.hosts": { items: { type: "string" } },
  "gateway.service.type": { enum: ["ClusterIP", "NodePort", "LoadBalancer"] },
  "provisioner.backoffLimit": { minimum: 0 },
  "serviceMonitor.interval": duration,
  "serviceMonitor.scrapeTimeout": duration,
  "image.pullPolicy": { enum: ["Always", "IfNotPresent", "Never"] },
  "*.image.pullPolicy": { enum: ["Always", "IfNotPresent", "Never"] },
  "image.digest": { pattern: "^(sha256:[0-9a-f]{64})?$" },
  "*.image.digest": { pattern: "^(sha256:[0-9a-f]{64})?$" },
  // nats-server's tag looks like a number to who writes 2.15.
  "image.tag": { type: "string", pattern: "^[A-Za-z0-9_.-]*$" },
  "*.image.tag": { type: "string", pattern: "^[A-Za-z0-9_.-]*$" },
  env: objects,
  "*.env": objects,
  "*.extraArgs": { items: { type: "string" } },
  "*.extraVolumes": objects,
  "*.extraVolumeMounts": objects,
  "*.tolerations": objects,
  "*.networkPolicy.ingress": objects,
  "*.networkPolicy.egress": objects,
  "*.nodeSelector": texts,
  "*.podLabels": labels,
  "*.podAnnotations": texts,
  commonLabels: labels,
};

/**
 * Settings that the chart makes itself, from other values or from what it mounts: in `config` they are
 * refused, since another value there would part the service from its volumes, ports or certificates.
 */
export const ownSettings = [
  "instance",
  "node",
  "http",
  "nats",
  "tls",
  "auth",
  "grpc",
  "serving",
  "scrape",
  "namespace",
  "kubernetes",
  "rawRead",
  "cleanRead",
  "peers",
  "peerAddress",
  "buffer",
  "bufferAddress",
  "segments.rawDir",
  "segments.cleanDir",
  "segments.ownDir",
  "storage.root",
  "replay.storageDir",
  "files.roots",
  "models.manifestPath",
  "models.directory",
  "models.text",
  "model",
  "dimensions",
  "pseudonymKeyFile",
];

/**
 * @param {string[]} path
 * @returns {[string, Schema] | undefined} the rule's own path, and the rule
 */
export function ruleFor(path) {
  return Object.entries(valueRules).find(([pattern]) => {
    const wanted = pattern.split(".");
    return wanted.length === path.length && wanted.every((name, at) => name === "*" || name === path[at]);
  });
}
