import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { obtainHelm } from "@millrace/cli/kubernetes";
import { chart, root, type Settings } from "../settings.js";
import { mustRun, run } from "./command.js";
import type { KubeObject, Kubectl } from "./kubectl.js";

export type Profile = "small" | "production";

export const releaseName = "millrace";
/** The chart leaves the chart's name out of names where the release has it. */
export const fullName = releaseName;
export const selector = `app.kubernetes.io/instance=${releaseName}`;

export interface Release {
  readonly profile: Profile | undefined;
  /** Installs it where it is not there, after what is there of another profile is gone. */
  ensure(profile: Profile): Promise<void>;
  /** `helm install --wait`; the seconds that it took. */
  install(profile: Profile): Promise<number>;
  upgrade(settings?: Readonly<Record<string, string>>): Promise<void>;
  notes(): Promise<string>;
  /** Returns what is left of it. */
  uninstall(): Promise<KubeObject[]>;
}

export async function createRelease(settings: Settings, kubectl: Kubectl): Promise<Release> {
  const helm = await helmOf(settings);
  const { kubeconfig, namespace } = settings;
  const base = ["--kubeconfig", kubeconfig, "--namespace", namespace];
  const runHelm = (args: readonly string[]): Promise<string> => mustRun(helm, [...args, ...base]);
  // What an earlier run has kept is gone on with.
  let installed = await profileOf([helm, "get", "values", releaseName, "--output", "json", ...base]);
  const valuesOf = async (profile: Profile): Promise<string[]> => {
    const files = ["every-profile.yaml", `${profile}.yaml`].map((name) => join(root, "e2e", "values", name));
    const addresses = (await nodeAddresses(kubectl)).map(
      (address, at) => `gateway.tls.ipAddresses[${at}]=${address}`,
    );
    const wave = settings.minutes < 10 ? shortBehavior : [];
    const set = [...addresses, ...wave, `nats.replicas=${settings.natsReplicas}`];
    return [...files.flatMap((file) => ["--values", file]), ...set.flatMap((one) => ["--set", one])];
  };
  const release: Omit<Release, "profile"> = {
    async ensure(profile) {
      if (installed === profile) return;
      await release.install(profile);
    },
    async install(profile) {
      if (installed !== undefined) await release.uninstall();
      await prepareNamespace(kubectl, namespace);
      const began = performance.now();
      const waits = ["--wait", "--timeout", "3m"];
      // Also one that never became ready has to be removed.
      installed = profile;
      await runHelm(["install", releaseName, chart, ...waits, ...(await valuesOf(profile))]);
      return (performance.now() - began) / 1000;
    },
    async upgrade(values = {}) {
      const set = Object.entries(values).flatMap(([key, value]) => ["--set-string", `${key}=${value}`]);
      const waits = ["--wait", "--timeout", "10m"];
      await runHelm([
        "upgrade",
        releaseName,
        chart,
        ...waits,
        ...(await valuesOf(installed ?? "small")),
        ...set,
      ]);
    },
    notes: () => runHelm(["get", "notes", releaseName]),
    async uninstall() {
      await runHelm(["uninstall", releaseName, "--wait", "--timeout", "3m"]);
      installed = undefined;
      const left = await untilQuiet(kubectl);
      // The next release is to be a new one: its volumes and keys too.
      await kubectl(["delete", "namespace", namespace, "--wait=true", "--timeout=180s"]);
      return left;
    },
  };
  return Object.defineProperty(release, "profile", { get: () => installed }) as Release;
}

/** Of the release that is there; undefined where none is. */
async function profileOf([helm = "", ...args]: readonly string[]): Promise<Profile | undefined> {
  const { code, stdout } = await run(helm, args);
  if (code !== 0) return undefined;
  const values = JSON.parse(stdout) as { profile?: Profile } | null;
  return values?.profile ?? "small";
}

/** The default waits five minutes before it takes a pod away: longer than a short run. */
const shortBehavior = [
  "autoscaling.behavior.scaleDown.stabilizationWindowSeconds=30",
  "autoscaling.behavior.scaleDown.policies[0].type=Pods",
  "autoscaling.behavior.scaleDown.policies[0].value=1",
  "autoscaling.behavior.scaleDown.policies[0].periodSeconds=15",
];

async function helmOf({ helm }: Settings): Promise<string> {
  if (helm !== undefined) return helm;
  const cacheDir = process.env["MILLRACE_CACHE_DIR"] ?? join(root, ".cache", "millrace");
  const found = await obtainHelm({ major: 3, cacheDir, env: process.env, log: () => undefined });
  return found.path;
}

async function nodeAddresses(kubectl: Kubectl): Promise<string[]> {
  const nodes = JSON.parse(await kubectl(["get", "nodes", "-o", "json"])) as {
    items: { status: { addresses: { type: string; address: string }[] } }[];
  };
  return nodes.items.flatMap(({ status }) =>
    status.addresses.filter(({ type }) => type === "InternalIP").map(({ address }) => address),
  );
}

/** What is not `restricted` is refused at admission, so that a pod that runs here runs anywhere. */
async function prepareNamespace(kubectl: Kubectl, namespace: string): Promise<void> {
  const labels = { "pod-security.kubernetes.io/enforce": "restricted" };
  const object = { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, labels } };
  await kubectl(["apply", "-f", "-"], JSON.stringify(object));
}

/** All objects with the release's labels, once none of them is on its way out any more. */
async function untilQuiet(kubectl: Kubectl): Promise<KubeObject[]> {
  for (let tries = 0; ; tries++) {
    const left = await allObjects(kubectl);
    const going = left.some(({ kind, metadata }) => kind === "Pod" || metadata.deletionTimestamp);
    if (!going || tries > 60) return left;
    await sleep(1_000);
  }
}

/** Of every kind that can be listed, in the namespace and beside it. */
export async function allObjects(kubectl: Kubectl): Promise<KubeObject[]> {
  const kinds = async (namespaced: boolean): Promise<string[]> => {
    const flags = ["--verbs=list", `--namespaced=${namespaced}`, "-o", "name"];
    // An API whose server is gone makes the command fail, and the others are listed all the same.
    const { stdout } = await kubectl.try(["api-resources", ...flags]);
    return stdout.split("\n").filter((kind) => kind !== "" && !/^(events|componentstatuses)/.test(kind));
  };
  const lists = [await kinds(true), await kinds(false)].filter((names) => names.length > 0);
  const found = new Map<string, KubeObject>();
  for (const names of lists) {
    for (const object of await kubectl.list(names.join(","), selector)) {
      found.set(object.metadata.uid ?? `${object.kind}/${object.metadata.name}`, object);
    }
  }
  return [...found.values()];
}
