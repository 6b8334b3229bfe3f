import { join } from "node:path";

/**
 * The one place that knows where fetched things lie: MILLRACE_CACHE_DIR, else `.cache/millrace` of the
 * checkout. Below it `models/<name>/` and `bin/`. Whoever may not import this asks the command, as `pull-
 * main.ts` does.
 *
 * @param root the checkout, or the installation's folder.
 */
export function cacheDir(root: string, environment: NodeJS.ProcessEnv): string {
  const named = environment["MILLRACE_CACHE_DIR"];
  return named === undefined || named === "" ? join(root, ".cache", "millrace") : named;
}

/** The manifest, with the vocabulary and the heads beside it. */
export function manifestPath(root: string): string {
  return join(root, "models", "manifest.json");
}
