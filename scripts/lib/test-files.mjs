import { filesBelow, packageFolders } from "./packages.mjs";

/**
 * The workspace's test files, relative to the checkout, in the two groups in which they run: those beside the
 * code, which share the machine; then those of the whole pipeline, one at a time.
 *
 * @param {string[]} filters a file is taken when its path holds one of them; none takes all
 */
export function testFiles(filters) {
  const wanted = (/** @type {string} */ path) =>
    filters.length === 0 || filters.some((filter) => path.includes(filter));
  const units = packageFolders().filter((folder) => folder !== "test");
  return {
    units: [
      ...filesBelow("scripts", ".test.mjs"),
      ...units.flatMap((folder) => filesBelow(`${folder}/dist`, ".test.js")),
    ].filter(wanted),
    whole: filesBelow("test/dist", ".test.js").filter(wanted),
  };
}
