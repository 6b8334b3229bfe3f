import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { writeImage } from "./image/archive.mjs";
import { layOutBase } from "./image/base.mjs";
import { appVersion, images, labels, natsImage, servicesImage } from "./image/definition.mjs";
import { built, layOut } from "./image/lay-out.mjs";
import { mustRun, runQuietly } from "./lib/command.mjs";
import { root } from "./lib/places.mjs";
import { runMain, say, SetupError, timed } from "./lib/progress.mjs";

const usage = `usage: npm run image -- [--engine docker|podman|none] [--out <folder>] [--save]
  --engine  what builds; by default docker where its daemon answers, else none: the images are assembled here
  --out     where archives go (default .cache/image)
  --save    with an engine: write archives too`;

/** @typedef {{ image: import("./image/definition.mjs").ImageDefinition, tag: string }} Tagged */

await runMain(async () => {
  const given = readArguments();
  const engine = given.engine ?? (await defaultEngine());
  const revision = await revisionOfCheckout();
  mkdirSync(given.out, { recursive: true });
  if (engine === "none") await assemble(given.out, revision);
  else await buildWith(engine, given, revision);
});

function readArguments() {
  try {
    const { values } = parseArgs({
      options: { engine: { type: "string" }, out: { type: "string" }, save: { type: "boolean" } },
    });
    const { engine, out = join(".cache", "image"), save = false } = values;
    if (engine !== undefined && !["docker", "podman", "none"].includes(engine)) {
      throw new SetupError(`image: there is no engine ${engine}; name docker, podman or none`);
    }
    return { engine, out: resolve(root, out), save };
  } catch (error) {
    throw new SetupError(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
  }
}

/** The client alone builds nothing: its daemon has to answer. */
async function defaultEngine() {
  const { code } = await runQuietly("docker", ["version", "--format", "{{.Server.Version}}"]);
  return code === 0 ? "docker" : "none";
}

async function revisionOfCheckout() {
  const { code, output } = await runQuietly("git", ["rev-parse", "HEAD"]);
  if (code !== 0) return "unknown";
  const changes = await runQuietly("git", ["status", "--porcelain", "--untracked-files=no"]);
  return `${output.trim()}${changes.output.trim() === "" ? "" : "-dirty"}`;
}

/** The tags that the chart asks for. @returns {Promise<Tagged[]>} */
async function tagged() {
  const { serverPin } = await import(built("cli/dist/broker/server-pin.js"));
  return images.map((image) => ({
    image,
    tag: `${image.name}:${image === natsImage ? serverPin.version : appVersion()}`,
  }));
}

/**
 * @param {string} out
 * @param {string} revision
 */
async function assemble(out, revision) {
  const work = mkdtempSync(join(out, "work-"));
  try {
    await layOut(work);
    await timed("lay out the base", () => layOutBase(join(work, "base"), join(work, "dependencies")));
    for (const { image, tag } of await tagged()) {
      const layers = [...(image === servicesImage ? ["base"] : []), ...image.layers];
      const path = join(out, `${tag.replace(":", "-")}.tar`);
      const version = tag.slice(image.name.length + 1);
      const { user, workdir, entrypoint, command, env } = image;
      const made = writeImage({
        path,
        tag,
        layers: layers.map((name) => join(work, name)),
        config: { user, workdir, entrypoint, command, env, labels: labels(image, { version, revision }) },
        workFolder: join(work, `oci-${image.name}`),
      });
      const sizes = made.layers.map(({ bytes }, at) => `${layers[at]} ${megabytes(bytes)}`).join(", ");
      const total = made.layers.reduce((sum, { bytes }) => sum + bytes, 0);
      say(`image: ${tag}: ${megabytes(total)} (${sizes}), ${made.digest}`);
      console.log(path);
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/**
 * @param {string} engine
 * @param {{ out: string, save: boolean }} given
 * @param {string} revision
 */
async function buildWith(engine, { out, save }, revision) {
  const { setUp } = await import("./lib/setup.mjs");
  await setUp();
  for (const { image, tag } of await tagged()) {
    const version = tag.slice(image.name.length + 1);
    const settings = [`VERSION=${version}`, `REVISION=${revision}`].flatMap((one) => ["--build-arg", one]);
    const line = ["build", "--target", image.name, "--tag", tag, ...settings, "."];
    await timed(`${engine} build ${tag}`, () => mustRun(`build ${tag}`, [engine, ...line]));
    const { output } = await runQuietly(engine, ["image", "inspect", "--format", "{{.Size}}", tag]);
    say(`image: ${tag}: ${megabytes(Number(output))}`);
    if (!save) continue;
    const path = join(out, `${tag.replace(":", "-")}.tar`);
    await mustRun(`save ${tag}`, [engine, "save", "--output", path, tag]);
    console.log(path);
  }
}

/** @param {number} bytes */
function megabytes(bytes) {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
