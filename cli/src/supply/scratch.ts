import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";

/**
 * Runs `work` with a folder of its own below the cache, which is removed whatever happens. It is on the
 * cache's file system, so that renames are whole.
 */
export async function inScratch<T>(cacheDir: string, work: (scratch: string) => Promise<T>): Promise<T> {
  await mkdir(join(cacheDir, "bin"), { recursive: true });
  const scratch = await mkdtemp(join(cacheDir, "bin", "fetch-"));
  try {
    return await work(scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
