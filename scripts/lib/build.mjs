import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { mustRun } from "./command.mjs";
import { filesBelow, packageFolders } from "./packages.mjs";
import { installed, root } from "./places.mjs";
import { timed } from "./progress.mjs";

/** Compiles what changed. tsc finds that out by itself in a fraction of a second. */
export async function build() {
  const folders = packageFolders();
  for (const folder of folders) removeOrphans(folder);
  await timed("build", () => mustRun("build", [installed("tsc"), "-b"]));
}

/**
 * tsc leaves the output of a source that is gone, and a test of it would go on running.
 *
 * @param {string} folder
 */
function removeOrphans(folder) {
  for (const output of filesBelow(join(folder, "dist"), ".js")) {
    const stem = output.slice(join(folder, "dist").length + 1, -".js".length);
    if (existsSync(join(root, folder, "src", `${stem}.ts`))) continue;
    for (const ending of [".js", ".js.map", ".d.ts"]) {
      rmSync(join(root, folder, "dist", `${stem}${ending}`), { force: true });
    }
  }
}
