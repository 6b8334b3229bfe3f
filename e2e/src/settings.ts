import { join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Settings {
  kubeconfig: string;
  namespace: string;
  /** `host:port` of the gateway; absent: found out. */
  gateway: string | undefined;
  /** Of the square wave. */
  minutes: number;
  /** Messages a second of the wave's upper half. */
  waveRate: number;
  /** Messages a second while pods are replaced and killed. */
  rollRate: number;
  /** How often the cluster's autoscaler looks: 15 s unless its controller manager was told otherwise. */
  hpaSyncSeconds: number;
  /** Of which a bulk stream's MB/s is measured. */
  bulkMegabytes: number;
  natsReplicas: number;
  /** Leaves the last release on the cluster, for a look at it. */
  keeps: boolean;
  helm: string | undefined;
  kubectl: string;
}

/** The checkout, from `e2e/dist`. */
export const root = fileURLToPath(new URL("../../", import.meta.url));
export const chart = join(root, "helm", "millrace");

export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const kubeconfig = env["E2E_CLUSTER"] ?? "";
  if (kubeconfig === "" || kubeconfig === "kind") {
    throw new Error("e2e: E2E_CLUSTER names no cluster. Give the path of a kubeconfig, or kind.");
  }
  return {
    kubeconfig,
    namespace: env["E2E_NAMESPACE"] ?? "millrace-e2e",
    gateway: env["E2E_GATEWAY"],
    minutes: number(env, "E2E_MINUTES", env["E2E_SHORT"] === "1" ? 4 : 20),
    waveRate: number(env, "E2E_WAVE_RATE", 150),
    rollRate: number(env, "E2E_ROLL_RATE", 500),
    hpaSyncSeconds: number(env, "E2E_HPA_SYNC_SECONDS", 15),
    bulkMegabytes: number(env, "E2E_BULK_MB", 512),
    natsReplicas: number(env, "E2E_NATS_REPLICAS", 1),
    keeps: env["E2E_KEEP"] === "1",
    helm: env["E2E_HELM"],
    kubectl: env["E2E_KUBECTL"] ?? "kubectl",
  };
}

function number(env: NodeJS.ProcessEnv, name: string, fallback: number): number {
  const given = env[name];
  if (given === undefined || given === "") return fallback;
  const value = Number(given);
  if (Number.isFinite(value) && value > 0) return value;
  throw new Error(`e2e: ${name} is ${JSON.stringify(given)}. Give a number above 0.`);
}
