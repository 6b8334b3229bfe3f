import { filesBelow, packageFolders } from "./packages.mjs";

/** Outages to be waited out, disks to be filled and cut off, each service killed again and again. */
const longFaults = ["broker", "disk", "kill", "power-cut", "replicas", "stall"];

/**
 * The workspace's test files, relative to the checkout, in the two groups in which they run: those beside the
 * code, which share the machine; then those of the whole pipeline, one at a time.
 *
 * @param {string[]} filters a file is taken when its path holds one of them; none takes all but the faults
 *   that take minutes, which `npm run test:fault` runs
 */
export function testFiles(filters) {
  const wanted = (/** @type {string} */ path) =>
    filters.length === 0
      ? !longFaults.some((name) => path.endsWith(`/fault/${name}.test.js`))
      : filters.some((filter) => path.includes(filter));
  const units = packageFolders().filter((folder) => folder !== "test");
  return {
    units: [
      ...filesBelow("scripts", ".test.mjs"),
      ...units.flatMap((folder) => filesBelow(`${folder}/dist`, ".test.js")),
    ].filter(wanted),
    whole: filesBelow("test/dist", ".test.js").filter(wanted),
  };
}
