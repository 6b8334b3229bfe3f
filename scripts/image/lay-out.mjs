import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { mustRun } from "../lib/command.mjs";
import { filesBelow } from "../lib/packages.mjs";
import { cacheDir, root } from "../lib/places.mjs";
import { obtainPnpm } from "../lib/pnpm.mjs";
import { runMain, SetupError, timed } from "../lib/progress.mjs";
import { setUp } from "../lib/setup.mjs";
import {
  appFolder,
  isOwnLeftOut,
  imageModelNames,
  modelName,
  modelsFolder,
  shippedFiles,
  shippedPackages,
} from "./definition.mjs";
import { pruneDependencies } from "./prune.mjs";

/**
 * Lays the images' files out below `out`, a folder a layer: out/dependencies/app/node_modules, and so on. The
 * Dockerfile copies these folders to / one after the other, and so does image.mjs where there is no engine.
 *
 *     node scripts/image/lay-out.mjs <out>
 *
 * @param {string} out removed and made anew
 */
export async function layOut(out) {
  await setUp();
  rmSync(out, { recursive: true, force: true });
  await timed("lay out the dependencies", () => layOutDependencies(join(out, "dependencies")));
  await timed("lay out the model", () => layOutModel(join(out, "model")));
  layOutCode(join(out, "code"));
  await timed("lay out nats-server", () => layOutNats(join(out, "nats")));
}

/** @param {string} layer */
export async function layOutDependencies(layer) {
  mkdirSync(dirname(layer), { recursive: true });
  // Installed aside and then renamed, for pnpm would keep a folder that it finds.
  const workspace = mkdtempSync(`${layer}-`);
  try {
    for (const name of ["package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml"]) {
      copyFileSync(join(root, name), join(workspace, name));
    }
    const packages = shippedPackages();
    for (const folder of packages) {
      mkdirSync(join(workspace, folder), { recursive: true });
      copyFileSync(join(root, folder, "package.json"), join(workspace, folder, "package.json"));
    }
    // Copied, not linked: what is pruned here must not touch the store that other checkouts share.
    const flags = ["--prod", "--frozen-lockfile", "--reporter=append-only", "--package-import-method=copy"];
    await mustRun("install the production dependencies", [await obtainPnpm(), "install", ...flags], {
      cwd: workspace,
      env: { ...process.env, CI: "true" },
      help: "If a package.json was changed, run pnpm install once so that pnpm-lock.yaml follows.",
    });
    for (const folder of [".", ...packages]) takeModules(workspace, folder, join(layer, appFolder));
  } finally {
    rmSync(workspace, { recursive: true, force: true });
  }
}

/**
 * @param {string} workspace
 * @param {string} folder of a package, relative to it
 * @param {string} app
 */
function takeModules(workspace, folder, app) {
  const modules = join(workspace, folder, "node_modules");
  const target = join(app, folder, "node_modules");
  mkdirSync(dirname(target), { recursive: true });
  try {
    renameSync(modules, target);
  } catch (error) {
    // A package without dependencies has none.
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return;
    throw error;
  }
  pruneDependencies(target, { platform: "linux", arch: process.arch });
}

/** @param {string} layer */
export async function layOutModel(layer) {
  const { pullModels } = await import(built("cli/dist/models/index.js"));
  /** @type {{ name: string, directory: string }[]} */
  const models = await pullModels({
    manifestPath: join(root, "models", "manifest.json"),
    cacheDir: cacheDir(),
    only: [modelName, ...imageModelNames],
    log: (/** @type {string} */ line) => process.stderr.write(`${line}\n`),
  }).catch((/** @type {unknown} */ error) => {
    throw new SetupError(`image: ${String(error)}`);
  });
  for (const { name, directory } of models) {
    cpSync(directory, join(layer, modelsFolder, name), { recursive: true });
  }
}

/** @param {string} layer */
export function layOutCode(layer) {
  const app = join(layer, appFolder);
  for (const name of shippedFiles) {
    cpSync(join(root, name), join(app, name), { recursive: true });
  }
  for (const folder of shippedPackages()) {
    mkdirSync(join(app, folder), { recursive: true });
    copyFileSync(join(root, folder, "package.json"), join(app, folder, "package.json"));
    for (const file of filesBelow(join(folder, "dist"), "")) {
      if (!file.endsWith(".js") || isOwnLeftOut(file)) continue;
      mkdirSync(dirname(join(app, file)), { recursive: true });
      copyFileSync(join(root, file), join(app, file));
    }
  }
}

/** @param {string} layer */
async function layOutNats(layer) {
  const { obtainNatsServer } = await import(built("cli/dist/broker/obtain-server.js"));
  // Neither NATS_URL nor a newer server on PATH: the image holds the version that its tag names.
  const { NATS_URL: _, ...env } = process.env;
  const server = await obtainNatsServer({
    cacheDir: cacheDir(),
    env,
    pinned: true,
    log: (/** @type {string} */ line) => process.stderr.write(`${line}\n`),
  }).catch((/** @type {unknown} */ error) => {
    throw new SetupError(`image: ${String(error)}`);
  });
  const target = join(layer, "usr", "local", "bin", "nats-server");
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(server.path, target);
  chmodSync(target, 0o755);
  layOutUsers(layer);
}

/**
 * The accounts that programs look up, and the folder that they all write to.
 *
 * @param {string} layer
 */
export function layOutUsers(layer) {
  mkdirSync(join(layer, "etc"), { recursive: true });
  mkdirSync(join(layer, "tmp"), { recursive: true });
  chmodSync(join(layer, "tmp"), 0o1777);
  const accounts = ["root:x:0:0:root:/:/sbin/nologin", "millrace:x:10001:10001:millrace:/tmp:/sbin/nologin"];
  writeFileSync(join(layer, "etc", "passwd"), `${accounts.join("\n")}\n`);
  writeFileSync(join(layer, "etc", "group"), "root:x:0:\nmillrace:x:10001:\n");
  writeFileSync(join(layer, "etc", "nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n");
}

/** @param {string} file relative to the checkout; there only after the set-up */
export function built(file) {
  return pathToFileURL(join(root, file)).href;
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
  await runMain(async () => {
    const [out] = process.argv.slice(2);
    if (out === undefined) throw new SetupError("usage: node scripts/image/lay-out.mjs <folder>");
    await layOut(out);
  });
}
