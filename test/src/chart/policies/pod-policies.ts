import { type Container, containersOf, endsByItself, type KubeObject, type Pod, podsOf } from "../objects.js";
import type { Policy } from "./policy.js";

/** Findings of each container of each pod. */
const perContainer =
  (wrong: (container: Container, pod: Pod) => string | undefined) =>
  (objects: readonly KubeObject[]): string[] =>
    podsOf(objects).flatMap((pod) =>
      containersOf(pod).flatMap((container) => {
        const what = wrong(container, pod);
        return what === undefined ? [] : [`${pod.owner} ${container.name}: ${what}`];
      }),
    );

const perPod =
  (wrong: (pod: Pod) => string | undefined) =>
  (objects: readonly KubeObject[]): string[] =>
    podsOf(objects).flatMap((pod) => {
      const what = wrong(pod);
      return what === undefined ? [] : [`${pod.owner}: ${what}`];
    });

export function podOf(objects: readonly KubeObject[], service: string): Pod {
  const found = podsOf(objects).find((pod) => pod.service === service);
  if (found === undefined) throw new Error(`there is no pod of ${service}`);
  return found;
}

function firstOf(objects: readonly KubeObject[], service: string): Container {
  const [container] = containersOf(podOf(objects, service));
  if (container === undefined) throw new Error(`the pod of ${service} has no container`);
  return container;
}

const volumesAllowed = new Set([
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "persistentVolumeClaim",
  "projected",
  "secret",
]);

/** Pod Security `restricted`, control by control, and what we ask for beyond it. */
export const podPolicies: Policy[] = [
  {
    name: "no container runs as root: runAsNonRoot and a numeric user",
    find: perContainer(({ securityContext = {} }, { spec }) => {
      const { runAsNonRoot = spec.securityContext?.runAsNonRoot } = securityContext;
      const { runAsUser = spec.securityContext?.runAsUser } = securityContext;
      if (runAsNonRoot !== true) return "runAsNonRoot is not true";
      return runAsUser === undefined || runAsUser === 0 ? `runAsUser is ${runAsUser}` : undefined;
    }),
    broken: {
      "runAsNonRoot false in a container": (objects) => {
        firstOf(objects, "gateway").securityContext = { runAsNonRoot: false };
      },
      "user 0": (objects) => {
        podOf(objects, "nats").spec.securityContext = { runAsNonRoot: true, runAsUser: 0 };
      },
      "a Job without a user": (objects) => {
        podOf(objects, "provisioner").spec.securityContext = { runAsNonRoot: true };
      },
    },
  },
  {
    name: "no container can gain privileges",
    find: perContainer(({ securityContext = {} }) => {
      if (securityContext.allowPrivilegeEscalation !== false) return "allowPrivilegeEscalation is not false";
      return securityContext.privileged === true ? "privileged" : undefined;
    }),
    broken: {
      "escalation left to the default": (objects) => {
        delete firstOf(objects, "buffer").securityContext?.allowPrivilegeEscalation;
      },
      "a privileged init container": (objects) => {
        const { spec } = podOf(objects, "inference");
        const securityContext = { allowPrivilegeEscalation: false, privileged: true };
        spec.initContainers = [{ name: "setup", image: "millrace:1", securityContext }];
      },
    },
  },
  {
    name: "every container drops all capabilities and adds none",
    find: perContainer(({ securityContext }) => {
      const { drop = [], add = [] } = securityContext?.capabilities ?? {};
      if (!drop.includes("ALL")) return "capabilities.drop lacks ALL";
      return add.length > 0 ? `capabilities.add holds ${add.join()}` : undefined;
    }),
    broken: {
      "nothing dropped": (objects) => {
        delete firstOf(objects, "output").securityContext?.capabilities;
      },
      "one added": (objects) => {
        const container = firstOf(objects, "nats");
        container.securityContext = {
          ...container.securityContext,
          capabilities: { drop: ["ALL"], add: ["SYS_NICE"] },
        };
      },
    },
  },
  {
    name: "every container has the runtime's seccomp profile",
    find: perContainer(({ securityContext }, { spec }) => {
      const profile = securityContext?.seccompProfile ?? spec.securityContext?.seccompProfile;
      return profile?.type === "RuntimeDefault" ? undefined : `seccompProfile is ${profile?.type}`;
    }),
    broken: {
      unconfined: (objects) => {
        const container = firstOf(objects, "privacy");
        container.securityContext = { ...container.securityContext, seccompProfile: { type: "Unconfined" } };
      },
    },
  },
  {
    name: "no pod shares namespaces, ports or settings with its node",
    find: (objects) => [
      ...perPod(({ spec }) =>
        spec.hostNetwork === true || spec.hostPID === true || spec.hostIPC === true
          ? "hostNetwork, hostPID or hostIPC"
          : undefined,
      )(objects),
      ...perPod(({ spec }) => ((spec.securityContext?.sysctls ?? []).length > 0 ? "sysctls" : undefined))(
        objects,
      ),
      ...perContainer(({ ports = [], securityContext }) => {
        if (ports.some((port) => "hostPort" in port)) return "hostPort";
        return (securityContext?.procMount ?? "Default") === "Default" ? undefined : "procMount";
      })(objects),
    ],
    broken: {
      "the node's network": (objects) => {
        podOf(objects, "gateway").spec.hostNetwork = true;
      },
      "the node's processes": (objects) => {
        podOf(objects, "gateway").spec.hostPID = true;
      },
      "a port of the node": (objects) => {
        firstOf(objects, "gateway").ports = [
          { containerPort: 7070, hostPort: 7070 } as { containerPort: number },
        ];
      },
    },
  },
  {
    name: "volumes are of kinds that restricted allows: no hostPath",
    find: perPod(({ spec }) => {
      const kinds = (spec.volumes ?? []).flatMap((volume) =>
        Object.keys(volume).filter((key) => key !== "name"),
      );
      const refused = kinds.filter((kind) => !volumesAllowed.has(kind));
      return refused.length === 0 ? undefined : `volumes of kind ${refused.join()}`;
    }),
    broken: {
      "a path of the node": (objects) => {
        podOf(objects, "ingestion").spec.volumes?.push({ name: "host", hostPath: { path: "/var" } });
      },
    },
  },
  {
    name: "root file systems are read-only, with a bounded /tmp beside",
    find: perContainer(({ securityContext, volumeMounts = [] }, { spec }) => {
      if (securityContext?.readOnlyRootFilesystem !== true) return "readOnlyRootFilesystem is not true";
      const unbounded = (spec.volumes ?? []).filter(
        ({ name, emptyDir }) =>
          emptyDir !== undefined &&
          emptyDir.sizeLimit === undefined &&
          volumeMounts.some((mount) => mount.name === name),
      );
      return unbounded.length === 0 ? undefined : `emptyDir ${unbounded[0]?.name} has no sizeLimit`;
    }),
    broken: {
      "a writable root": (objects) => {
        const container = firstOf(objects, "semantic-search");
        container.securityContext = { ...container.securityContext, readOnlyRootFilesystem: false };
      },
      "a /tmp that may fill the node": (objects) => {
        for (const volume of podOf(objects, "gateway").spec.volumes ?? []) {
          if (volume.emptyDir !== undefined) volume.emptyDir = {};
        }
      },
    },
  },
  {
    name: "only metrics-adapter gets a token of the API server",
    find: perPod(({ service, spec }) => {
      const automounts = spec.automountServiceAccountToken !== false;
      const projects = (spec.volumes ?? []).some(({ projected }) =>
        projected?.sources.some((source) => "serviceAccountToken" in source),
      );
      if (service === "metrics-adapter") {
        return automounts || projects ? undefined : "has none, and asks the API server who calls";
      }
      return automounts || projects ? "gets a service account token" : undefined;
    }),
    broken: {
      "left to the default": (objects) => {
        delete podOf(objects, "privacy").spec.automountServiceAccountToken;
      },
      "by a volume": (objects) => {
        podOf(objects, "nats").spec.volumes?.push({
          name: "token",
          projected: { sources: [{ serviceAccountToken: { path: "token" } }] },
        });
      },
    },
  },
  {
    name: "every container asks for processor and memory, and its memory has a limit",
    find: perContainer(({ resources = {} }) => {
      if (resources.requests?.["cpu"] === undefined) return "resources.requests.cpu is missing";
      if (resources.requests["memory"] === undefined) return "resources.requests.memory is missing";
      return resources.limits?.["memory"] === undefined ? "resources.limits.memory is missing" : undefined;
    }),
    broken: {
      "no limit": (objects) => {
        delete firstOf(objects, "inference").resources?.limits;
      },
      "no request of the Job": (objects) => {
        firstOf(objects, "provisioner").resources = { limits: { memory: "1Gi" } };
      },
    },
  },
  {
    name: "what runs on is probed: alive and ready apart, and started where it may take long",
    find: perContainer(({ livenessProbe, readinessProbe, startupProbe }, pod) => {
      if (endsByItself(pod)) return undefined;
      if (livenessProbe === undefined) return "livenessProbe is missing";
      if (readinessProbe === undefined) return "readinessProbe is missing";
      if (startupProbe === undefined) return "startupProbe is missing";
      const paths = [livenessProbe, readinessProbe].map(({ httpGet }) => httpGet?.path);
      return paths[0] === paths[1]
        ? `both probes ask ${paths[0]}: what is not ready would be killed`
        : undefined;
    }),
    broken: {
      "no readiness": (objects) => {
        delete firstOf(objects, "semantic-search").readinessProbe;
      },
      "liveness that depends on others": (objects) => {
        const container = firstOf(objects, "gateway");
        container.livenessProbe = { httpGet: { path: "/readyz", port: "http" } };
      },
    },
  },
  {
    name: "every image has a tag or digest of its own",
    find: perContainer(({ image }) => {
      const [, tag] = /^[^@]+:([\w.-]+)$/.exec(image) ?? [];
      if (/@sha256:[0-9a-f]{64}$/.test(image)) return undefined;
      return tag === undefined || tag === "latest" ? `image ${image}` : undefined;
    }),
    broken: {
      "no tag": (objects) => {
        firstOf(objects, "gateway").image = "registry:5000/millrace";
      },
      latest: (objects) => {
        firstOf(objects, "nats").image = "millrace-nats:latest";
      },
    },
  },
];
