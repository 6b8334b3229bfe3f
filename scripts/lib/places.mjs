import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout that these scripts belong to. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Where fetched programs and models are kept; may be shared by several checkouts. */
export function cacheDir() {
  return resolve(root, process.env.MILLRACE_CACHE_DIR || join(".cache", "millrace"));
}

/** @param {string} name a program that the workspace installs */
export function installed(name) {
  return join(root, "node_modules", ".bin", name);
}
