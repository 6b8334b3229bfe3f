import { execFile, spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A file system of its own below the state's directory; all that are mounted go with this process. */
const mounted = new Set<string>();
process.once("exit", () => {
  for (const dir of mounted) spawnSync("umount", ["-l", dir]);
});

export async function makeImage(image: string, megabytes: number): Promise<void> {
  await run("truncate", ["-s", `${megabytes}M`, image]);
  await run("mkfs.ext4", ["-q", "-F", image]);
}

/** The image as a disk: what is written and not synced is in memory only. */
export async function mountImage(image: string, dir: string): Promise<void> {
  await mount(["-o", "loop", image], dir);
}

export async function mountMemory(dir: string, megabytes: number): Promise<void> {
  await mount(["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs"], dir);
}

async function mount(what: readonly string[], dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  await run("mount", [...what, dir]);
  mounted.add(dir);
}

export async function unmount(dir: string): Promise<void> {
  await run("umount", [dir]);
  mounted.delete(dir);
}

/** What the disk would hold if power went now: its image as it is, without what is only in memory. */
export async function copyImage(image: string, copy: string): Promise<void> {
  await run("cp", ["--sparse=always", image, copy]);
}

/** Why nothing can be mounted here, such as no root or no loop devices; undefined where it can. */
export async function cannotMount(): Promise<string | undefined> {
  const dir = await mkdtemp(join(tmpdir(), "millrace-mount-"));
  try {
    await makeImage(join(dir, "image"), 16);
    await mountImage(join(dir, "image"), join(dir, "disk"));
    await unmount(join(dir, "disk"));
    return undefined;
  } catch (caught) {
    const why = caught instanceof Error ? (caught.message.trim().split("\n").at(-1) ?? "") : String(caught);
    return `needs root and loop devices, which are not to be had here (${why})`;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
