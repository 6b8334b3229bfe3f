import { readFileSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { type KubeObject, titleOf } from "./objects.js";

interface Definition {
  "x-kubernetes-group-version-kind"?: { group: string; version: string; kind: string }[];
}

export type CheckObject = (object: KubeObject) => string[];

/**
 * A check against the strict schemas of one Kubernetes version: unknown fields, wrong types, kinds that the
 * version does not serve. Kinds of custom resources are checked by `customSchemas`.
 */
export function schemaCheck(file: string): CheckObject {
  const schemas = JSON.parse(readFileSync(file, "utf8")) as { $defs: Record<string, Definition> };
  const names = new Map<string, string>();
  for (const [name, definition] of Object.entries(schemas.$defs)) {
    for (const { group, version, kind } of definition["x-kubernetes-group-version-kind"] ?? []) {
      const key = group === "" ? `${version} ${kind}` : `${group}/${version} ${kind}`;
      // Kinds such as DeleteOptions are listed under each group; the first is as good.
      if (!names.has(key)) names.set(key, name);
    }
  }
  // Formats such as int32 and byte are Kubernetes' own, and the schemas use keywords of OpenAPI.
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  ajv.addSchema(schemas, "kubernetes");
  const checks = new Map<string, ValidateFunction>();
  return (object) => {
    const key = `${object.apiVersion} ${object.kind}`;
    const name = names.get(key);
    const schema = name === undefined ? customSchemas[key] : { $ref: `kubernetes#/$defs/${name}` };
    if (schema === undefined) return [`${titleOf(object)}: ${key} is not known to this version`];
    const check = checks.get(key) ?? ajv.compile(schema);
    checks.set(key, check);
    if (check(object)) return [];
    return (check.errors ?? []).map(({ instancePath, message, params }) => {
      const what = Object.values(params as Record<string, unknown>).join(", ");
      return `${titleOf(object)}: ${instancePath} ${message} (${what})`;
    });
  };
}

const strings = { type: "array", items: { type: "string" }, minItems: 1 };
const closed = (properties: Record<string, unknown>, required: string[]) => ({
  type: "object",
  properties,
  required,
  additionalProperties: false,
});
const object = { type: "object" };
const text = { type: "string", minLength: 1 };
const whole = { type: "integer", minimum: 0 };
const custom = (apiVersion: string, kind: string, spec: unknown) => ({
  [`${apiVersion} ${kind}`]: closed(
    { apiVersion: { const: apiVersion }, kind: { const: kind }, metadata: object, spec },
    ["apiVersion", "kind", "metadata", "spec"],
  ),
});

/**
 * Kinds that others define, whose schemas no package carries: written down here, as far as the chart uses
 * them, from their projects' documents. A field that is missing here has to be looked up and added.
 */
const customSchemas: Record<string, object> = {
  ...custom(
    "keda.sh/v1alpha1",
    "ScaledObject",
    closed(
      {
        scaleTargetRef: closed(
          { apiVersion: text, kind: { enum: ["Deployment", "StatefulSet"] }, name: text },
          ["name"],
        ),
        pollingInterval: whole,
        minReplicaCount: whole,
        maxReplicaCount: { type: "integer", minimum: 1 },
        advanced: closed(
          {
            restoreToOriginalReplicaCount: { type: "boolean" },
            horizontalPodAutoscalerConfig: closed({ name: text, behavior: object }, []),
          },
          [],
        ),
        triggers: {
          type: "array",
          minItems: 1,
          items: closed(
            {
              type: { const: "nats-jetstream" },
              name: text,
              useCachedMetrics: { type: "boolean" },
              metricType: { enum: ["AverageValue", "Value"] },
              // KEDA reads strings only.
              metadata: closed(
                {
                  natsServerMonitoringEndpoint: text,
                  account: text,
                  stream: text,
                  consumer: text,
                  lagThreshold: { type: "string", pattern: "^\\d+$" },
                  activationLagThreshold: { type: "string", pattern: "^\\d+$" },
                  useHttps: { enum: ["true", "false"] },
                },
                ["natsServerMonitoringEndpoint", "account", "stream", "consumer", "lagThreshold"],
              ),
              authenticationRef: closed({ name: text, kind: text }, ["name"]),
            },
            ["type", "metadata"],
          ),
        },
      },
      ["scaleTargetRef", "triggers"],
    ),
  ),
  ...custom(
    "monitoring.coreos.com/v1",
    "ServiceMonitor",
    closed(
      {
        jobLabel: text,
        targetLabels: strings,
        selector: closed({ matchLabels: object, matchExpressions: { type: "array" } }, []),
        namespaceSelector: closed({ any: { type: "boolean" }, matchNames: strings }, []),
        endpoints: {
          type: "array",
          minItems: 1,
          items: closed(
            {
              port: text,
              path: text,
              scheme: { enum: ["http", "https"] },
              interval: { type: "string", pattern: "^\\d+(ms|s|m|h)$" },
              scrapeTimeout: { type: "string", pattern: "^\\d+(ms|s|m|h)$" },
              honorLabels: { type: "boolean" },
              relabelings: { type: "array", items: object },
              metricRelabelings: { type: "array", items: object },
              tlsConfig: object,
            },
            ["port"],
          ),
        },
      },
      ["selector", "endpoints"],
    ),
  ),
  ...custom(
    "cert-manager.io/v1",
    "Certificate",
    closed(
      {
        secretName: text,
        secretTemplate: object,
        commonName: { type: "string", maxLength: 64 },
        dnsNames: strings,
        ipAddresses: strings,
        duration: text,
        renewBefore: text,
        isCA: { type: "boolean" },
        usages: strings,
        privateKey: closed(
          {
            algorithm: { enum: ["RSA", "ECDSA", "Ed25519"] },
            size: whole,
            rotationPolicy: { enum: ["Always", "Never"] },
            encoding: { enum: ["PKCS1", "PKCS8"] },
          },
          [],
        ),
        subject: object,
        issuerRef: closed({ name: text, kind: { enum: ["Issuer", "ClusterIssuer"] }, group: text }, ["name"]),
      },
      ["secretName", "issuerRef"],
    ),
  ),
  ...custom("cert-manager.io/v1", "Issuer", {
    oneOf: [closed({ selfSigned: object }, ["selfSigned"]), closed({ ca: object }, ["ca"])],
  }),
};
