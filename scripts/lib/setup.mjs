import { join } from "node:path";
import { build } from "./build.mjs";
import { installPackages } from "./install.mjs";
import { withLock } from "./lock.mjs";
import { root } from "./places.mjs";
import { say, seconds, SetupError } from "./progress.mjs";

const nodeLeast = [20, 19];

/**
 * All that a command needs before it can start: packages installed, sources built.
 *
 * @param {{ builds?: boolean }} [options] `builds: false` installs only
 */
export async function setUp({ builds = true } = {}) {
  checkNode(process.versions.node);
  const started = performance.now();
  await withLock(join(root, ".cache", "setup.lock"), async () => {
    await installPackages();
    if (builds) await build();
  });
  say(`set-up: ready after ${seconds(performance.now() - started)}`);
}

/** @param {string} version such as 20.19.0 */
export function checkNode(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [leastMajor = 0, leastMinor = 0] = nodeLeast;
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return;
  throw new SetupError(
    `Millrace needs Node ${nodeLeast.join(".")} or newer; this is ${version}. ` +
      "Get a newer one from https://nodejs.org.",
  );
}
