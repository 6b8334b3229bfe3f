import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { mustRun } from "./command.mjs";
import { cacheDir, root } from "./places.mjs";
import { timed } from "./progress.mjs";

/**
 * pnpm 12 is a program of its own that npm delivers per platform, so it runs on each Node that we support.
 */
export const pnpmVersion = "12.21.0";

/** The path of a pnpm of exactly that version, fetched into the cache when it is not there. */
export async function obtainPnpm() {
  const home = join(cacheDir(), `pnpm-${pnpmVersion}`);
  const program = join(home, "node_modules", ".bin", "pnpm");
  if (!isThere(home)) await timed(`fetch pnpm ${pnpmVersion}`, () => fetchPnpm(home));
  return program;
}

/** @param {string} home */
function isThere(home) {
  try {
    const manifest = JSON.parse(readFileSync(join(home, "node_modules", "pnpm", "package.json"), "utf8"));
    return manifest.version === pnpmVersion && existsSync(join(home, "node_modules", ".bin", "pnpm"));
  } catch {
    return false;
  }
}

/**
 * Into a folder aside, then renamed: a fetch that was interrupted leaves nothing that looks whole.
 *
 * @param {string} home
 */
async function fetchPnpm(home) {
  const aside = `${home}.${process.pid}.part`;
  mkdirSync(aside, { recursive: true });
  const flags = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
  try {
    await mustRun(
      `fetch pnpm ${pnpmVersion} through npm`,
      [...npmCommand(), "install", "--prefix", aside, ...flags, `pnpm@${pnpmVersion}`],
      { help: "Check the network and the registry that npm is set to (npm config get registry).", cwd: root },
    );
    rmSync(home, { recursive: true, force: true });
    renameSync(aside, home);
  } catch (error) {
    rmSync(aside, { recursive: true, force: true });
    // Another checkout that shares the cache may have been first.
    if (!isThere(home)) throw error;
  }
}

/** @returns {[string, ...string[]]} the npm that started us, else the one on PATH */
function npmCommand() {
  const started = process.env.npm_execpath;
  return started?.endsWith("npm-cli.js") ? [process.execPath, started] : ["npm"];
}
