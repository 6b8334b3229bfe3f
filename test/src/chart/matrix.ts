import type { Rendering } from "./render.js";

export interface NamedRendering extends Rendering {
  name: string;
}

const monitoring = "monitoring.coreos.com/v1";
const certManager = "cert-manager.io/v1";
const keda = "keda.sh/v1alpha1";

const external = {
  enabled: false,
  external: {
    url: "tls://nats.example:4222",
    monitorUrl: "http://nats.example:8222",
    existingSecret: "seeds",
    hasCa: true,
    replicas: 3,
  },
};
const existing = { mode: "existing", existing: { ca: "-----BEGIN CERTIFICATE-----\nMIIB\n" } };
const digest = { digest: `sha256:${"ab".repeat(32)}` };
const replicas = { replicas: 3 };
const everyReplicas = {
  gateway: replicas,
  ingestion: replicas,
  privacy: replicas,
  inference: replicas,
  semanticSearch: replicas,
  output: replicas,
};

/** The values that are rendered: each choice of the chart, with each profile. The first is plain. */
export const valueMatrix: NamedRendering[] = ["small", "production"].flatMap((profile) => {
  const named = (name: string, values: Record<string, unknown>, ...apis: string[]): NamedRendering => {
    return { name: `${profile} ${name}`, values: { profile, ...values }, apis };
  };
  return [
    named("alone", {}),
    named("keda", { autoscaling: { mode: "keda" } }, keda),
    named("no autoscaling", { autoscaling: { mode: "none" }, ...everyReplicas }),
    named("certManager", { tls: { mode: "certManager" } }, certManager),
    named("an issuer", issuer(), certManager),
    named("existing certificates", { tls: existing, gateway: { tls: { existingSecret: "public" } } }),
    named("one nats server", { nats: { replicas: 1 } }),
    named("three nats servers", { nats: { replicas: 3 } }),
    named("external nats", { nats: external }),
    named("external nats and keda", { nats: external, autoscaling: { mode: "keda" } }, keda),
    named("ingress and metrics", ingress(), monitoring),
    named("own secrets", {
      auth: { existingSecret: "tokens" },
      pseudonymKey: { existingSecret: "key" },
      secrets: { existingSecret: "peers" },
    }),
    named("open", {
      auth: { enabled: false },
      networkPolicy: { enabled: false },
      gateway: { tls: { enabled: false } },
    }),
    named("no budgets", { podDisruptionBudget: { enabled: false } }),
    named("own volumes apart", { volumes: { shared: false, keep: false, storageClass: "fast" } }),
    named("a registry", { global: { image: { registry: "registry.example:5000/x" } }, image: digest }),
    named("long names", { fullnameOverride: "a-name-that-goes-on-until-somebody-cuts-it-off-at-last" }),
    named("pods as one likes", pods()),
  ];
});

function issuer() {
  return {
    tls: { mode: "certManager", certManager: { issuerRef: { name: "corporate", kind: "ClusterIssuer" } } },
  };
}

function ingress() {
  return {
    gateway: { ingress: { enabled: true, className: "nginx", hosts: ["millrace.example"] } },
    serviceMonitor: { enabled: true, additionalLabels: { release: "prometheus" } },
  };
}

function pods() {
  const pod = {
    env: [{ name: "OTEL_SDK_DISABLED", value: "true" }],
    nodeSelector: { disk: "fast" },
    tolerations: [{ key: "streams", operator: "Exists" }],
    priorityClassName: "high",
    podLabels: { team: "data" },
    podAnnotations: { note: "1" },
    topologySpreadConstraints: [],
    extraVolumes: [{ name: "more", emptyDir: { sizeLimit: "1Gi" } }],
    extraVolumeMounts: [{ name: "more", mountPath: "/more" }],
    affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
  };
  return {
    gateway: pod,
    buffer: pod,
    privacy: pod,
    output: pod,
    nats: pod,
    config: { drainTimeoutMs: 45_000 },
  };
}
