/** Rendered objects, as far as the checks look into them. What they don't name is left as it is. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  spec?: Record<string, unknown>;
  data?: Record<string, string>;
  stringData?: Record<string, string>;
  [field: string]: unknown;
}

export interface Probe {
  httpGet?: { path: string; port: string | number };
  grpc?: { port: number };
  exec?: { command: string[] };
  [field: string]: unknown;
}

export interface Container {
  name: string;
  image: string;
  args?: string[];
  command?: string[];
  env?: { name: string; value?: string; valueFrom?: unknown }[];
  ports?: { name?: string; containerPort: number }[];
  resources?: { requests?: Record<string, string>; limits?: Record<string, string> };
  securityContext?: {
    allowPrivilegeEscalation?: boolean;
    privileged?: boolean;
    readOnlyRootFilesystem?: boolean;
    runAsNonRoot?: boolean;
    runAsUser?: number;
    capabilities?: { drop?: string[]; add?: string[] };
    seccompProfile?: { type: string };
    procMount?: string;
  };
  volumeMounts?: { name: string; mountPath: string; readOnly?: boolean; subPath?: string }[];
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  startupProbe?: Probe;
  lifecycle?: { preStop?: { sleep?: { seconds: number }; exec?: { command: string[] } } };
}

export interface Volume {
  name: string;
  persistentVolumeClaim?: { claimName: string; readOnly?: boolean };
  secret?: { secretName: string };
  configMap?: { name: string };
  emptyDir?: { sizeLimit?: string; medium?: string };
  projected?: { sources: Record<string, unknown>[] };
  hostPath?: unknown;
  [source: string]: unknown;
}

export interface PodSpec {
  serviceAccountName?: string;
  automountServiceAccountToken?: boolean;
  terminationGracePeriodSeconds?: number;
  hostNetwork?: boolean;
  hostPID?: boolean;
  hostIPC?: boolean;
  securityContext?: {
    runAsNonRoot?: boolean;
    runAsUser?: number;
    runAsGroup?: number;
    fsGroup?: number;
    seccompProfile?: { type: string };
    sysctls?: unknown[];
  };
  containers: Container[];
  initContainers?: Container[];
  volumes?: Volume[];
  affinity?: unknown;
  topologySpreadConstraints?: unknown[];
  restartPolicy?: string;
}

/** A pod template, and the object that makes pods of it. */
export interface Pod {
  /** `StatefulSet/m-buffer`, for messages. */
  owner: string;
  kind: string;
  /** Of the release's services, `nats`, `provisioner` and what else runs: its component label. */
  service: string;
  labels: Record<string, string>;
  spec: PodSpec;
  /** Claims that the owner makes for each pod. */
  claims: string[];
}

interface Workload {
  template?: { metadata?: { labels?: Record<string, string> }; spec: PodSpec };
  jobTemplate?: { spec: Workload };
  volumeClaimTemplates?: { metadata: { name: string } }[];
}

const owners = new Set(["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"]);
const component = "app.kubernetes.io/component";

export function podsOf(objects: readonly KubeObject[]): Pod[] {
  return objects.flatMap((object): Pod[] => {
    const { kind, metadata } = object;
    if (kind === "Pod") {
      const labels = metadata.labels ?? {};
      return [pod(object, { labels, spec: object.spec as unknown as PodSpec, claims: [] })];
    }
    if (!owners.has(kind)) return [];
    const spec = object.spec as Workload;
    const template = (kind === "CronJob" ? spec.jobTemplate?.spec.template : spec.template) ?? {
      spec: { containers: [] },
    };
    const claims = (spec.volumeClaimTemplates ?? []).map((claim) => claim.metadata.name);
    return [pod(object, { labels: template.metadata?.labels ?? {}, spec: template.spec, claims })];
  });
}

function pod({ kind, metadata }: KubeObject, parts: Pick<Pod, "labels" | "spec" | "claims">): Pod {
  return { owner: `${kind}/${metadata.name}`, kind, service: parts.labels[component] ?? "", ...parts };
}

/** Jobs, and the pod of `helm test`: they hold nothing, and nobody waits for them to be ready. */
export function endsByItself({ kind, spec }: Pod): boolean {
  return kind === "Job" || spec.restartPolicy === "Never";
}

export function containersOf({ spec }: Pod): Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}

export function titleOf({ kind, metadata }: KubeObject): string {
  return `${kind}/${metadata.name}`;
}

export const ofKind = (objects: readonly KubeObject[], kind: string): KubeObject[] =>
  objects.filter((object) => object.kind === kind);
