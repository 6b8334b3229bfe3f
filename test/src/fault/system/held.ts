import { readdirSync, readFileSync } from "node:fs";
import type { Held } from "@millrace/testkit";
import type { Program } from "./program.js";

/** What each program holds now, from /proc; one that is just starting or ending is left out. */
export function heldBy(programs: readonly Program[]): Held[] {
  return programs.flatMap((program) => {
    const pid = program.pid();
    try {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      const kilobytes = /^RssAnon:\s+(\d+) kB/m.exec(status)?.[1];
      const files = readdirSync(`/proc/${pid}/fd`).length;
      return [{ program: program.name, rssAnonBytes: Number(kilobytes ?? 0) * 1024, files }];
    } catch {
      return [];
    }
  });
}

export interface HeldWatch {
  /** All samples since it began. */
  stop(): Held[];
}

/** Samples twice a second. */
export function watchHeld(programs: readonly Program[]): HeldWatch {
  const samples: Held[] = [];
  const timer = setInterval(() => samples.push(...heldBy(programs)), 500).unref();
  return {
    stop: () => {
      clearInterval(timer);
      return samples;
    },
  };
}
