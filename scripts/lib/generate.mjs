import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { chartFiles, generateChart } from "./chart/generate-chart.mjs";
import { mustRun } from "./command.mjs";
import { filesBelow } from "./packages.mjs";
import { installed, root } from "./places.mjs";

const sources = join("libs", "proto", "src", "gen");
const image = join("libs", "proto", "image.binpb");
const permissions = join("helm", "millrace", "files", "permissions.json");

/**
 * Writes what is made: from proto/ the TypeScript and the image (descriptors) that reflection serves, from
 * the broker's permission table the chart's copy.
 *
 * @param {string} base the checkout, or a folder to compare it with
 */
export async function generate(base) {
  const cwd = join(root, "proto");
  const buf = installed("buf");
  mkdirSync(join(base, "libs", "proto"), { recursive: true });
  // proto/buf.gen.yaml names its outputs relative to proto/.
  mkdirSync(join(base, "proto"), { recursive: true });
  await mustRun("generate from proto/", [buf, "generate", "--output", join(base, "proto")], { cwd });
  const imagePath = join(base, "libs", "proto", "image.binpb");
  await mustRun("write the image", [buf, "build", "--output", imagePath], { cwd });
  // Health is served too, and its contract comes with its library. Two FileDescriptorSets in a row are one.
  const health = join(root, "libs", "runtime", "node_modules", "grpc-health-check", "proto");
  const healthImage = `${imagePath}.health.binpb`;
  await mustRun("write the image of health", [buf, "build", health, "--output", healthImage], { cwd });
  appendFileSync(imagePath, readFileSync(healthImage));
  rmSync(healthImage);
  await writePermissions(join(base, permissions));
}

/**
 * The broker's users, what each may do, and the consumers whose lag there is: what the chart has of
 * libs/messaging.
 *
 * @param {string} path
 */
async function writePermissions(path) {
  await mustRun("build libs/messaging", [installed("tsc"), "-b", "libs/messaging"], { cwd: root });
  const built = pathToFileURL(join(root, "libs", "messaging", "dist", "index.js")).href;
  const { adminUser, brokerUsers, consumerPlans, permissionsOf, permissionsOfAdmin } = await import(built);
  /** @type {Record<string, unknown>} */
  const users = { [adminUser]: permissionsOfAdmin() };
  for (const user of brokerUsers) users[user] = permissionsOf(user);
  /** @type {{ name: string, stage: string, stream: string }[]} */
  const plans = consumerPlans;
  const consumers = plans.map(({ name, stage, stream }) => ({ name, stage, stream }));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify({ users, consumers }, undefined, 2)}\n`);
}

/** The generated files that differ from what would be made now; empty when all are fresh. */
export async function staleFiles() {
  mkdirSync(join(root, ".cache"), { recursive: true });
  const aside = mkdtempSync(join(root, ".cache", "gen-"));
  try {
    await generate(aside);
    await generateChart(aside);
    const made = filesBelow(join(aside.slice(root.length + 1), sources), "");
    const names = new Set([
      ...made.map((path) => path.slice(path.indexOf(sources))),
      ...filesBelow(sources, ""),
      image,
      permissions,
      ...chartFiles,
    ]);
    return [...names].filter((name) => read(join(root, name)) !== read(join(aside, name)));
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

/** @param {string} path a file; a folder or nothing reads as nothing */
function read(path) {
  try {
    return readFileSync(path).toString("base64");
  } catch {
    return undefined;
  }
}
