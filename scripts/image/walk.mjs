import { readdirSync } from "node:fs";
import { join } from "node:path";

/**
 * Not by readdir's own recursion, which goes into folders that links point to.
 *
 * @param {string} folder
 * @param {string} [below]
 * @returns {string[]} relative, each folder before what lies in it
 */
export function namesBelow(folder, below = "") {
  const entries = readdirSync(join(folder, below), { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  return entries.flatMap((entry) => {
    const name = below === "" ? entry.name : `${below}/${entry.name}`;
    return entry.isDirectory() ? [name, ...namesBelow(folder, name)] : [name];
  });
}
