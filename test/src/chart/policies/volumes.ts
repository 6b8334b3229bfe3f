import { containersOf, type KubeObject, ofKind, type Pod, podsOf } from "../objects.js";
import { podOf } from "./pod-policies.js";
import type { Policy } from "./policy.js";

/**
 * Which service mounts which claim, where and how: `raw /data/raw rw`. The mount is the boundary: only
 * ingestion, buffer and privacy hold what the filter has not seen.
 */
const shared: Record<string, string[]> = {
  ingestion: ["clean /data/clean rw", "raw /data/raw rw"],
  buffer: ["clean /data/clean rw", "raw /data/raw rw"],
  privacy: ["clean /data/clean rw", "raw /data/raw ro"],
  // Its own bodies are one folder of the volume; the rest of it, it reads.
  inference: ["clean /data/clean ro", "clean/inference /data/inferred rw"],
  "semantic-search": ["clean /data/clean ro"],
  output: ["clean /data/clean ro", "output /data/output rw"],
  // Replays read stored files, and link them while they do.
  gateway: ["output /data/output rw"],
  nats: ["nats /data rw"],
};

/** Each pod has claims of its own; what others wrote is fetched from them, at ports that policies close. */
const apart: Record<string, string[]> = {
  buffer: ["clean /data/clean rw", "raw /data/raw rw"],
  privacy: ["clean /data/clean rw"],
  inference: ["clean /data/clean rw"],
  output: ["output /data/output rw"],
  nats: ["nats /data rw"],
};

const list = (mounts: string[]): string => mounts.join(", ") || "nothing";

/** `clean/inference /data/inferred rw` of each mount of a claim. */
function mountsOf(pod: Pod): string[] {
  const claimed = new Map(
    (pod.spec.volumes ?? []).map((volume) => [volume.name, volume.persistentVolumeClaim]),
  );
  return containersOf(pod)
    .flatMap(({ volumeMounts = [] }) => volumeMounts)
    .flatMap(({ name, mountPath, readOnly = false, subPath }) => {
      const claim = claimed.get(name);
      if (claim === undefined && !pod.claims.includes(name)) return [];
      const kind = (claim?.claimName ?? name).split("-").at(-1) ?? "";
      const isReadOnly = readOnly || claim?.readOnly === true;
      return [
        `${kind}${subPath === undefined ? "" : `/${subPath}`} ${mountPath} ${isReadOnly ? "ro" : "rw"}`,
      ];
    })
    .sort();
}

export const boundaryPolicy: Policy = {
  name: "each service mounts the claims of its side of the filter, and no other",
  find: (objects) => {
    const pods = podsOf(objects);
    const isShared = ofKind(objects, "PersistentVolumeClaim").length > 0;
    const table = isShared ? shared : apart;
    return pods.flatMap((pod) => {
      const wanted = table[pod.service] ?? [];
      const found = mountsOf(pod);
      return found.join() === wanted.join()
        ? []
        : [`${pod.owner} mounts ${list(found)} instead of ${list(wanted)}`];
    });
  },
  broken: {
    "raw in output": (objects) => mount(objects, "output", "raw"),
    "raw in gateway": (objects) => mount(objects, "gateway", "raw"),
    "clean writable in semantic-search": (objects) => {
      for (const container of podOf(objects, "semantic-search").spec.containers) {
        for (const one of container.volumeMounts ?? []) one.readOnly = false;
      }
    },
    "all of clean instead of inference's folder": (objects) => {
      for (const container of podOf(objects, "inference").spec.containers) {
        for (const one of container.volumeMounts ?? []) delete one.subPath;
      }
    },
    "output in an init container of privacy": (objects) => {
      const { spec } = podOf(objects, "privacy");
      spec.volumes?.push({ name: "stored", persistentVolumeClaim: { claimName: "m-millrace-output" } });
      const volumeMounts = [{ name: "stored", mountPath: "/stored" }];
      spec.initContainers = [{ name: "setup", image: "millrace:1", volumeMounts }];
    },
  },
};

function mount(objects: readonly KubeObject[], service: string, kind: string): void {
  const { spec } = podOf(objects, service);
  spec.volumes?.push({ name: "more", persistentVolumeClaim: { claimName: `m-millrace-${kind}` } });
  spec.containers[0]?.volumeMounts?.push({ name: "more", mountPath: `/data/${kind}` });
}

export const ownershipPolicy: Policy = {
  name: "all pods of a release share one user and group, so that each reads what another wrote",
  find: (objects) => {
    const users = new Map<string, string[]>();
    for (const { owner, spec } of podsOf(objects)) {
      const { runAsUser, runAsGroup, fsGroup } = spec.securityContext ?? {};
      const key = `${runAsUser}:${runAsGroup} fsGroup ${fsGroup}`;
      users.set(key, [...(users.get(key) ?? []), owner]);
    }
    if (users.size <= 1) return [];
    return [...users].map(([key, owners]) => `${key}: ${owners.join(", ")}`);
  },
  broken: {
    "another group of files": (objects) => {
      const { spec } = podOf(objects, "buffer");
      spec.securityContext = { ...spec.securityContext, fsGroup: 2000 };
    },
  },
};

/** On one machine of a small cluster each claim may be a disk. */
const sharedClaimsMax = 6;

export const claimsPolicy: Policy = {
  name: "shared volumes take at most 6 claims in all, and each claim mounted is there",
  find: (objects) => {
    const claims = ofKind(objects, "PersistentVolumeClaim").map(({ metadata }) => metadata.name);
    const missing = podsOf(objects).flatMap(({ owner, spec }) =>
      (spec.volumes ?? [])
        .flatMap(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? [])
        .filter((name) => !claims.includes(name))
        .map((name) => `${owner}: claim ${name} is not made`),
    );
    const own = podsOf(objects).reduce((sum, pod) => sum + pod.claims.length, 0);
    const isTooMany = claims.length > 0 && claims.length + own > sharedClaimsMax;
    return isTooMany ? [...missing, `${claims.length + own} claims`] : missing;
  },
  broken: {
    "a claim that nobody makes": (objects) => mount(objects, "output", "archive"),
    "a claim each for many": (objects) => {
      for (const name of ["a", "b", "c", "d"]) {
        objects.push({ apiVersion: "v1", kind: "PersistentVolumeClaim", metadata: { name } });
      }
    },
  },
};
