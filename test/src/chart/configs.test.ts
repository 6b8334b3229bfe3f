import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { adminUser, brokerUsers, permissionsOf, permissionsOfAdmin } from "@millrace/messaging";
import { workspace } from "../system/supplies.js";
import { valueMatrix } from "./matrix.js";
import { endsByItself, type KubeObject, ofKind, type Pod, podsOf } from "./objects.js";
import { configOf } from "./policies/grace.js";
import { render, twoAtATime } from "./render.js";

const folder = await mkdtemp(join(tmpdir(), "millrace-configs-"));
test.after(() => rm(folder, { recursive: true, force: true }));

/** Broker and Job have configs of their own. */
const isService = (pod: Pod): boolean => !endsByItself(pod) && pod.service !== "nats";

/** What changes the configs of services; the rest changes pods. */
const telling = /alone|external nats$|open|existing|own volumes apart|as one likes/;
const chosen = valueMatrix.filter(({ name }) => telling.test(name));
const renderings = await twoAtATime(chosen, async ({ name, ...rendering }) => {
  return { name, objects: await render(rendering) };
});

test("each service's own program takes the config that the chart renders for it", async () => {
  // Most sets of values give a service the same settings, but for names: each kind is asked once.
  const configs = new Map<string, { service: string; config: string; name: string }>();
  for (const { name, objects } of renderings) {
    for (const pod of podsOf(objects).filter(isService)) {
      const config = JSON.stringify(configOf(objects, pod));
      const shape = config.replaceAll(/:"[^"]*"/g, ":text");
      configs.set(`${pod.service} ${shape}`, { service: pod.service, config, name });
    }
  }
  const asked = [...configs.values()];
  assert.ok(new Set(asked.map(({ service }) => service)).size >= 8);
  const answers = await twoAtATime(asked, ({ service, config }) => checkConfig(service, config));
  const refused = asked.flatMap(({ service, name }, at) =>
    answers[at] === "" ? [] : [`${service} with ${name}: ${answers[at]}`],
  );
  assert.deepEqual(refused, []);
});

test("a config with a setting that the service does not know is refused by it", async () => {
  assert.match(await checkConfig("buffer", '{"segment": {}}'), /unknown key segment/);
});

let asked = 0;
/** What the service has against the config; empty when nothing. */
async function checkConfig(service: string, config: string): Promise<string> {
  asked += 1;
  const file = join(folder, `${service}-${asked}.json`);
  await writeFile(file, config);
  const main = join(workspace, "services", service, "dist", "main.js");
  const env = { PATH: process.env["PATH"] ?? "", MILLRACE_INSTANCE: "m-0", MILLRACE_NODE: "m-0" };
  return new Promise((resolve) => {
    execFile(process.execPath, [main, "--config", file, "--check-config"], { env }, (error, _, stderr) => {
      resolve(error === null ? "" : stderr.trim());
    });
  });
}

test("every pod knows its instance and node by its environment", () => {
  for (const { name, objects } of renderings) {
    for (const pod of podsOf(objects).filter(isService)) {
      const env = pod.spec.containers[0]?.env ?? [];
      for (const variable of ["MILLRACE_INSTANCE", "MILLRACE_NODE"]) {
        assert.ok(
          env.some((one) => one.name === variable),
          `${name}: ${pod.owner} lacks ${variable}`,
        );
      }
    }
  }
});

interface BrokerConfig {
  authorization: { users: { user: string; permissions: unknown }[] };
  jetstream: { sync_interval: string; max_file_store: number };
  tls: { verify_and_map: boolean };
}

/** What is in force on the broker: the users that its config lists, or that an operator is told to add. */
function usersOf(objects: readonly KubeObject[]): Record<string, unknown> {
  const texts = ofKind(objects, "ConfigMap").map(({ data = {} }) => data);
  const listed = texts.find((data) => data["permissions.json"] !== undefined)?.["permissions.json"];
  if (listed !== undefined) return (JSON.parse(listed) as { users: Record<string, unknown> }).users;
  const { users } = brokerConfig(objects).authorization;
  return Object.fromEntries(users.map(({ user, permissions }) => [user, permissions]));
}

function brokerConfig(objects: readonly KubeObject[]): BrokerConfig {
  const text = ofKind(objects, "ConfigMap").flatMap(({ data }) => data?.["nats-server.conf"] ?? [])[0];
  return JSON.parse(text ?? "{}") as BrokerConfig;
}

test("the broker's users are those of the permission table, with its permissions and no more", () => {
  const table: Record<string, unknown> = { [adminUser]: permissionsOfAdmin() };
  for (const user of brokerUsers) table[user] = permissionsOf(user);
  for (const { name, objects } of renderings) assert.deepEqual(usersOf(objects), table, name);
});

const bytesOf = (size: string): number => {
  const [, number = "0", unit = ""] = /^(\d+)(Gi|G)$/.exec(size) ?? [];
  return Number(number) * (unit === "Gi" ? 1024 ** 3 : 1000 ** 3);
};

test("the broker knows users by certificate, syncs what it stores, and stops before its disk is full", () => {
  for (const { name, objects } of renderings) {
    const broker = objects.find(
      ({ kind, metadata }) => kind === "StatefulSet" && metadata.name.endsWith("-nats"),
    );
    if (broker === undefined) continue;
    const { jetstream, tls } = brokerConfig(objects);
    assert.equal(tls.verify_and_map, true, name);
    assert.equal(jetstream.sync_interval, "always", name);
    const { volumeClaimTemplates: claims } = broker.spec as unknown as {
      volumeClaimTemplates: { spec: { resources: { requests: { storage: string } } } }[];
    };
    const size = bytesOf(claims[0]?.spec.resources.requests.storage ?? "");
    assert.ok(
      jetstream.max_file_store <= 0.9 * size,
      `${name}: ${jetstream.max_file_store} of ${size} bytes`,
    );
  }
});
