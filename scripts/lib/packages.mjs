import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { root } from "./places.mjs";

const groups = ["libs", "services"];
const single = ["cli", "examples", "e2e", "test"];

/** The folders of the workspace's packages, relative to the checkout; `test` comes last. */
export function packageFolders() {
  const grouped = groups.flatMap((group) =>
    readdirSync(join(root, group))
      .sort()
      .map((name) => join(group, name)),
  );
  return [...grouped, ...single].filter((folder) => existsSync(join(root, folder, "package.json")));
}

/**
 * The files below `folder` whose name ends with `suffix`, relative to the checkout, sorted.
 *
 * @param {string} folder relative to the checkout
 * @param {string} suffix
 */
export function filesBelow(folder, suffix) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(suffix) && !name.includes("node_modules"))
    .map((name) => join(folder, name))
    .sort();
}
