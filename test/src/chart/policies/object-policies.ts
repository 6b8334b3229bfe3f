import { endsByItself, type KubeObject, ofKind, podsOf, titleOf } from "../objects.js";
import { podOf } from "./pod-policies.js";
import type { Policy } from "./policy.js";

interface Scaler {
  scaleTargetRef: { kind?: string; name: string };
  minReplicas?: number;
  minReplicaCount?: number;
}

interface Budget {
  selector?: { matchLabels?: Record<string, string> };
  minAvailable?: number | string;
  maxUnavailable?: number | string;
}

interface ServiceSpec {
  selector?: Record<string, string>;
  ports?: { name?: string; port: number; targetPort?: string | number }[];
}

const matches = (labels: Record<string, string>, selector: Record<string, string> | undefined): boolean =>
  Object.entries(selector ?? {}).every(([key, value]) => labels[key] === value);

const scalersOf = (objects: readonly KubeObject[]): KubeObject[] => [
  ...ofKind(objects, "HorizontalPodAutoscaler"),
  ...ofKind(objects, "ScaledObject"),
];

function targetOf(objects: readonly KubeObject[], scaler: KubeObject): KubeObject | undefined {
  const { kind, name } = (scaler.spec as unknown as Scaler).scaleTargetRef;
  return objects.find((one) => one.kind === (kind ?? "Deployment") && one.metadata.name === name);
}

const scaling: Policy = {
  name: "what an autoscaler scales is there, once, and names no number of replicas",
  find: (objects) => {
    const seen = new Set<string>();
    return scalersOf(objects).flatMap((scaler) => {
      const target = targetOf(objects, scaler);
      if (target === undefined) return [`${titleOf(scaler)}: its target is not there`];
      if (seen.has(titleOf(target))) return [`${titleOf(target)}: scaled by two`];
      seen.add(titleOf(target));
      // Each upgrade would throw the replicas back to that number.
      return target.spec?.["replicas"] === undefined ? [] : [`${titleOf(target)}: replicas is set`];
    });
  },
  broken: {
    "replicas of a scaled service": (objects) => {
      const [scaler] = scalersOf(objects);
      const target = scaler && targetOf(objects, scaler);
      if (target?.spec !== undefined) target.spec["replicas"] = 1;
    },
    "a target that was renamed": (objects) => {
      const [scaler] = scalersOf(objects);
      if (scaler !== undefined) (scaler.spec as unknown as Scaler).scaleTargetRef.name = "gone";
    },
    "two for one": (objects) => {
      const [scaler] = scalersOf(objects);
      if (scaler !== undefined) objects.push(structuredClone(scaler));
    },
  },
};

/** The fewest pods that a budget's workload runs with. */
function leastReplicas(objects: readonly KubeObject[], owner: string): number {
  const workload = objects.find((one) => titleOf(one) === owner);
  const scaler = scalersOf(objects).find((one) => targetOf(objects, one) === workload);
  if (scaler === undefined) return Number(workload?.spec?.["replicas"] ?? 1);
  const { minReplicas, minReplicaCount } = scaler.spec as unknown as Scaler;
  return minReplicas ?? minReplicaCount ?? 1;
}

const budgets: Policy = {
  name: "a disruption budget is for the pods of one service, and never blocks a node's drain",
  find: (objects) =>
    ofKind(objects, "PodDisruptionBudget").flatMap((budget) => {
      const { selector, minAvailable, maxUnavailable } = budget.spec as unknown as Budget;
      const pods = podsOf(objects).filter(
        (pod) => !endsByItself(pod) && matches(pod.labels, selector?.matchLabels),
      );
      const [pod, second] = pods;
      if (pod === undefined || second !== undefined) {
        return [`${titleOf(budget)} is for ${pods.map(({ owner }) => owner).join(", ") || "no pod"}`];
      }
      const least = leastReplicas(objects, pod.owner);
      const blocks =
        maxUnavailable === 0 ||
        maxUnavailable === "0%" ||
        minAvailable === "100%" ||
        (typeof minAvailable === "number" && minAvailable >= least) ||
        (maxUnavailable === undefined && minAvailable === undefined);
      return blocks ? [`${titleOf(budget)} lets no pod of ${least} go`] : [];
    }),
  broken: {
    "as many as there are": (objects) => {
      const [budget] = ofKind(objects, "PodDisruptionBudget");
      if (budget !== undefined) budget.spec = { selector: budget.spec?.["selector"], minAvailable: 1 };
    },
    "all services together": (objects) => {
      const [budget] = ofKind(objects, "PodDisruptionBudget");
      if (budget !== undefined) budget.spec = { selector: {}, maxUnavailable: 1 };
    },
  },
};

const services: Policy = {
  name: "each Service leads to pods that have its port",
  find: (objects) =>
    ofKind(objects, "Service").flatMap((service) => {
      const { selector, ports = [] } = service.spec as unknown as ServiceSpec;
      const pods = podsOf(objects).filter(({ labels }) => matches(labels, selector));
      if (pods.length === 0) return [`${titleOf(service)} selects no pod`];
      const open = pods.flatMap(({ spec }) => spec.containers.flatMap((container) => container.ports ?? []));
      return ports
        .filter(({ port, targetPort = port }) =>
          open.every(({ name, containerPort }) => name !== targetPort && containerPort !== targetPort),
        )
        .map(({ name, port }) => `${titleOf(service)}: no pod has the port ${name ?? port}`);
    }),
  broken: {
    "a selector of nobody": (objects) => {
      const [service] = ofKind(objects, "Service");
      if (service?.spec !== undefined) service.spec["selector"] = { a: "b" };
    },
    "a port of nobody": (objects) => {
      const [service] = ofKind(objects, "Service");
      if (service?.spec !== undefined) service.spec["ports"] = [{ name: "x", port: 9 }];
    },
  },
};

/** What may change from release to release must not be in a selector, which never can. */
const selectorKeys = new Set([
  "app.kubernetes.io/name",
  "app.kubernetes.io/instance",
  "app.kubernetes.io/component",
]);
const labelKeys = [
  ...selectorKeys,
  "app.kubernetes.io/version",
  "app.kubernetes.io/part-of",
  "app.kubernetes.io/managed-by",
  "helm.sh/chart",
];

const labels: Policy = {
  name: "objects bear the recommended labels, and selectors only those that never change",
  find: (objects) =>
    objects.flatMap((object) => {
      // A hook is no part of the release; the pod of `helm test` is a caller from outside of it.
      if (object.metadata.annotations?.["helm.sh/hook"] !== undefined) return [];
      const own = object.metadata.labels ?? {};
      const missing = labelKeys.filter(
        (key) => own[key] === undefined && key !== "app.kubernetes.io/component",
      );
      const spec = object.spec as { selector?: { matchLabels?: Record<string, string> }; template?: unknown };
      const selected = spec?.template === undefined ? {} : (spec.selector?.matchLabels ?? {});
      const fleeting = Object.keys(selected).filter((key) => !selectorKeys.has(key));
      return [
        ...missing.map((key) => `${titleOf(object)} lacks the label ${key}`),
        ...fleeting.map((key) => `${titleOf(object)} selects by ${key}`),
      ];
    }),
  broken: {
    "a version in a selector": (objects) => {
      const [workload] = ofKind(objects, "StatefulSet");
      const selector = workload?.spec?.["selector"] as { matchLabels: Record<string, string> } | undefined;
      if (selector !== undefined) selector.matchLabels["app.kubernetes.io/version"] = "1";
    },
    "no labels": (objects) => {
      const [object] = objects;
      if (object !== undefined) delete object.metadata.labels;
    },
  },
};

interface Rule {
  apiGroups?: string[];
  resources?: string[];
  verbs?: string[];
}

const roles: Policy = {
  name: "no role says everything: no * in groups, resources or verbs, nothing to write",
  find: (objects) =>
    [...ofKind(objects, "Role"), ...ofKind(objects, "ClusterRole")].flatMap((role) => {
      const rules = (role["rules"] ?? []) as Rule[];
      return rules
        .filter(({ apiGroups = [], resources = [], verbs = [] }) => {
          const writes = verbs.some((verb) => !["get", "list", "watch"].includes(verb));
          // That group is served by us, for one namespace, and its resources are the names of metrics.
          const isOurs = apiGroups.join() === "external.metrics.k8s.io";
          return writes || apiGroups.includes("*") || (resources.includes("*") && !isOurs);
        })
        .map((rule) => `${titleOf(role)}: ${JSON.stringify(rule)}`);
    }),
  broken: {
    "all secrets": (objects) => {
      const rules = [{ apiGroups: ["*"], resources: ["secrets"], verbs: ["get"] }];
      objects.push({
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "Role",
        metadata: { name: "r" },
        rules,
      });
    },
    "changing things": (objects) => {
      const rules = [{ apiGroups: [""], resources: ["pods"], verbs: ["get", "delete"] }];
      objects.push({
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "Role",
        metadata: { name: "r" },
        rules,
      });
    },
  },
};

/** Shorter values are names and numbers. */
const secretCharsLeast = 16;

const secrets: Policy = {
  name: "nothing that is in a Secret stands anywhere else",
  find: (objects) => {
    const others = objects
      .filter(({ kind }) => kind !== "Secret")
      .map((one) => [titleOf(one), JSON.stringify(one)]);
    return ofKind(objects, "Secret").flatMap(({ metadata, data = {}, stringData = {} }) => {
      const values = [
        ...Object.entries(stringData),
        ...Object.entries(data).map(
          ([key, value]) => [key, Buffer.from(value, "base64").toString()] as const,
        ),
      ];
      // A certificate is shown to everybody who connects.
      return values
        .filter(([key, value]) => !key.endsWith(".crt") && value.length >= secretCharsLeast)
        .flatMap(([key, value]) => {
          const forms = [value, Buffer.from(value).toString("base64")].map((form) =>
            JSON.stringify(form).slice(1, -1),
          );
          return others
            .filter(([, text]) => forms.some((form) => text?.includes(form)))
            .map(([name]) => `${name} holds ${key} of Secret ${metadata.name}`);
        });
    });
  },
  broken: {
    "a token in a ConfigMap": (objects) => {
      const secret = ofKind(objects, "Secret").find(({ data }) => data?.["token"] !== undefined);
      const token = Buffer.from(secret?.data?.["token"] ?? "", "base64").toString();
      const [map] = ofKind(objects, "ConfigMap");
      if (map !== undefined) map.data = { ...map.data, note: `token: ${token}` };
    },
    "a key in an environment": (objects) => {
      const secret = ofKind(objects, "Secret").find(({ data }) => data?.["pseudonyms.key"] !== undefined);
      const value = secret?.data?.["pseudonyms.key"] ?? "";
      podOf(objects, "privacy").spec.containers[0]?.env?.push({ name: "KEY", value });
    },
  },
};

/** A StatefulSet's pods bear a label of its name and the hash of a revision. */
const statefulSetCharsMax = 52;
const nameCharsMax = 63;

const names: Policy = {
  name: "names are short enough for pods and labels, and no object is rendered twice",
  find: (objects) => {
    const seen = new Set<string>();
    return objects.flatMap((object) => {
      const key = `${object.apiVersion} ${titleOf(object)}`;
      const isTwice = seen.has(key);
      seen.add(key);
      const max = object.kind === "StatefulSet" ? statefulSetCharsMax : nameCharsMax;
      // Their names are paths, which may be longer.
      const isPath = /^(rbac\.authorization|apiregistration)\.k8s\.io\//.test(object.apiVersion);
      const isLong = !isPath && object.metadata.name.length > max;
      return [
        ...(isTwice ? [`${key} is there twice`] : []),
        ...(isLong ? [`${key} has ${object.metadata.name.length} letters`] : []),
      ];
    });
  },
  broken: {
    "a long name": (objects) => {
      const [workload] = ofKind(objects, "StatefulSet");
      if (workload !== undefined) workload.metadata.name = "m".repeat(60);
    },
    twice: (objects) => {
      const [object] = objects;
      if (object !== undefined) objects.push(structuredClone(object));
    },
  },
};

export const objectPolicies: Policy[] = [scaling, budgets, services, labels, roles, secrets, names];
