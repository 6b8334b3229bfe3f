import { isSystemError } from "@millrace/files";
import type { Disk } from "./spool/disk.js";
import type { Layout } from "./spool/layout.js";
import { listVisible } from "./spool/visible.js";

/*
 * The parts of a writer that are visible, when only some bytes of them are to stay:
 *
 *   part-….jsonl ── oldest, too many ──► free/….free ── next spool ──► .data ── roll ──► part-….jsonl
 *
 * The blocks of a file that the disk has are written several times as fast as new ones. A part with a second
 * name is somebody's copy, so its bytes are left alone: only our name goes.
 */
export interface RetainedParts {
  add(part: RetainedPart): void;
  /** Takes parts back until no more than `retainBytes` are visible. */
  enforce(): Promise<void>;
  /** A file for the next spool; undefined where none is free. */
  take(): number | undefined;
  /** What was taken lies where it lay: the spool could not be begun. */
  giveBack(number: number): void;
}

interface RetainedPart {
  number: number;
  bytes: number;
  /** Of a Parquet part. */
  day?: string | undefined;
}

/** As many as may wait for their last commit: with fewer, the disk would free and find blocks in turn. */
const freeMax = 4;

interface Place {
  disk: Disk;
  layout: Layout;
}

/** Keeps every part. */
export const keepAll: RetainedParts = {
  add: () => undefined,
  enforce: async () => undefined,
  take: () => undefined,
  giveBack: () => undefined,
};

export async function openRetainedParts(
  { disk, layout }: Place,
  retainBytes: number,
): Promise<RetainedParts> {
  if (retainBytes === 0) return keepAll;
  await disk.makeDirectory(layout.freeDir);
  const free: number[] = [];
  for (const number of freeNumbers(layout, await disk.readdir(layout.freeDir))) {
    // The last life may have ended before it asked whether somebody holds it.
    if (await isOurs(disk, layout.free(number))) free.push(number);
    else await disk.unlink(layout.free(number));
  }
  const parts: RetainedPart[] = [];
  for (const { name, day } of await listVisible({ disk, layout })) {
    const file = layout.parse(name);
    if (file?.kind !== "part") continue;
    parts.push({ number: file.number, bytes: await sizeOf(disk, layout.part(file.number, day)), day });
  }
  parts.sort((left, right) => left.number - right.number);
  let bytes = parts.reduce((sum, part) => sum + part.bytes, 0);

  const takeBack = async ({ number, day }: RetainedPart): Promise<void> => {
    await disk.unlink(layout.manifest(number, day));
    if (free.length >= freeMax) return disk.unlink(layout.part(number, day));
    try {
      await disk.rename(layout.part(number, day), layout.free(number));
    } catch (error) {
      // Its reader was faster.
      if (isSystemError(error, "ENOENT")) return;
      throw error;
    }
    // Asked once its name is gone: nobody can link it any more.
    if (await isOurs(disk, layout.free(number))) free.push(number);
    else await disk.unlink(layout.free(number));
  };

  return {
    add: (part) => {
      parts.push(part);
      bytes += part.bytes;
    },
    enforce: async () => {
      while (bytes > retainBytes && parts.length > 1) {
        const [oldest] = parts;
        if (oldest === undefined) return;
        await takeBack(oldest);
        parts.shift();
        bytes -= oldest.bytes;
      }
    },
    take: () => free.shift(),
    giveBack: (number) => void free.unshift(number),
  };
}

function freeNumbers(layout: Layout, names: readonly string[]): number[] {
  return names
    .flatMap((name) => {
      const file = layout.parse(name);
      return file?.kind === "free" ? [file.number] : [];
    })
    .sort((left, right) => left - right);
}

async function sizeOf(disk: Disk, path: string): Promise<number> {
  const file = await disk.open(path, "existing");
  try {
    return await file.size();
  } finally {
    await file.close();
  }
}

async function isOurs(disk: Disk, path: string): Promise<boolean> {
  const file = await disk.open(path, "existing");
  try {
    return (await file.links()) === 1;
  } finally {
    await file.close();
  }
}
