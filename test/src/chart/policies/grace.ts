import { endsByItself, type KubeObject, ofKind, type Pod, podsOf } from "../objects.js";
import { podOf } from "./pod-policies.js";
import type { Policy } from "./policy.js";

/** Of libs/runtime's `drainTimeoutMs`, where a config names none. */
const drainMsDefault = 20_000;
/** What ending takes beyond the drain: closing, and the kubelet's own steps. */
const restSeconds = 5;

/** The text of a pod's file in `/etc/millrace/config`. */
export function configOf(objects: readonly KubeObject[], pod: Pod): Record<string, unknown> {
  const maps = (pod.spec.volumes ?? []).flatMap(({ configMap }) => configMap?.name ?? []);
  const text = ofKind(objects, "ConfigMap").find(
    ({ metadata, data }) => maps.includes(metadata.name) && data?.["config.json"] !== undefined,
  )?.data?.["config.json"];
  if (text === undefined) throw new Error(`${pod.owner} mounts no config.json`);
  return JSON.parse(text) as Record<string, unknown>;
}

/** nats-server moves its clients away for this long, and then stops. */
function lameDuckSeconds(objects: readonly KubeObject[]): number {
  for (const { data } of ofKind(objects, "ConfigMap")) {
    for (const text of Object.values(data ?? {})) {
      const [, duration] = /["']?lame_duck_duration["']?\s*[:=]\s*["']?(\d+)s/.exec(text) ?? [];
      if (duration !== undefined) return Number(duration);
    }
  }
  // Its own default.
  return 120;
}

function drainSeconds(objects: readonly KubeObject[], pod: Pod): number {
  if (pod.service === "nats") return lameDuckSeconds(objects);
  const { drainTimeoutMs = drainMsDefault } = configOf(objects, pod) as { drainTimeoutMs?: number };
  return drainTimeoutMs / 1000;
}

export const gracePolicy: Policy = {
  name: "the grace period outlasts preStop and drain",
  find: (objects) =>
    podsOf(objects).flatMap((pod) => {
      if (endsByItself(pod)) return [];
      const { containers, terminationGracePeriodSeconds: grace = 30 } = pod.spec;
      const preStop = Math.max(...containers.map(({ lifecycle }) => lifecycle?.preStop?.sleep?.seconds ?? 0));
      const needed = preStop + drainSeconds(objects, pod) + restSeconds;
      if (grace < needed) return [`${pod.owner}: ${grace} s of grace, ${needed} s are needed`];
      return preStop === 0 && pod.service !== "nats" ? [`${pod.owner}: no preStop`] : [];
    }),
  broken: {
    "no longer than the drain": (objects) => {
      podOf(objects, "privacy").spec.terminationGracePeriodSeconds = 20;
    },
    "a longer drain than the grace period": (objects) => {
      const name = podOf(objects, "output").spec.volumes?.flatMap(({ configMap }) => configMap?.name ?? []);
      const map = ofKind(objects, "ConfigMap").find(({ metadata }) => name?.includes(metadata.name));
      if (map !== undefined) map.data = { "config.json": '{"drainTimeoutMs": 600000}' };
    },
    "a broker that is killed": (objects) => {
      podOf(objects, "nats").spec.terminationGracePeriodSeconds = 10;
    },
  },
};
