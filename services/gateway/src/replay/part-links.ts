import { link, lstat, mkdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { CodedError } from "@millrace/errors";

/*
 * Output takes back its oldest parts where `storage.retain_bytes` says so, and writes their files anew; one
 * that has a second name it leaves alone. So a part gets one for as long as it is read:
 *
 *   <storageDir>/<tenant>/<stream>/part-….jsonl
 *   <storageDir>/.replay/<instance>/<count>-part-….jsonl
 *
 * What a killed process left there is removed at the next start: until then those parts stay on the disk.
 */
export interface PartLinks {
  /** Whatever happens to the part, its bytes stay until `release`. Errors: `not_found` where it is gone. */
  hold(part: string): Promise<HeldPart>;
  /** Removes all links of an earlier process under this name. */
  clear(): Promise<void>;
}

export interface HeldPart {
  path: string;
  release(): Promise<void>;
}

export function createPartLinks({ root, instance }: { root: string; instance: string }): PartLinks {
  const dir = join(root, ".replay", instance);
  let count = 0;
  return {
    clear: () => rm(dir, { recursive: true, force: true }),
    hold: async (part) => {
      const path = join(dir, `${count++}-${basename(part)}`);
      const release = (): Promise<void> => rm(path, { force: true });
      try {
        await mkdir(dir, { recursive: true });
        await link(part, path);
      } catch (caught) {
        throw isGone(caught) ? takenBack(part) : unlinkable(part, caught);
      }
      // Taken back while it was linked: whoever took it may have counted its names before.
      if (await isSameFile(part, path)) return { path, release };
      await release();
      throw takenBack(part);
    },
  };
}

async function isSameFile(part: string, path: string): Promise<boolean> {
  try {
    return (await lstat(part)).ino === (await lstat(path)).ino;
  } catch (caught) {
    if (isGone(caught)) return false;
    throw caught;
  }
}

function isGone(caught: unknown): boolean {
  return CodedError.from(caught).code === "not_found";
}

function takenBack(part: string): CodedError {
  return new CodedError("not_found", `replay: ${basename(part)} was removed before it was read`, {
    remedy: "Call again for what is left. Keep more (storage.retain_bytes), or replay faster.",
  });
}

function unlinkable(part: string, caught: unknown): CodedError {
  const { code, message } = CodedError.from(caught);
  return new CodedError("failed_precondition", `replay: ${basename(part)} can't be linked: ${message}`, {
    field: "source",
    remedy: `Let gateway make links below replay.storageDir (${code}), or replay from the results.`,
    cause: caught,
  });
}
