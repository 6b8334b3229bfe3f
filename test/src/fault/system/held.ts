import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { findGrown, type Held } from "@millrace/testkit";
import { until } from "../../system/observe.js";
import { heldBound } from "./bounds.js";
import type { Program } from "./program.js";

/** What each program holds now, from /proc; one that is just starting or ending is left out. */
function heldBy(programs: readonly Program[]): Held[] {
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
  /**
   * I7: no program held more memory than it may since the watch began, and each comes to hold as few files as
   * then. Ends the watch, and shows that too much of either would be seen in these very samples.
   */
  assertBounded(): Promise<void>;
  /** Ends it unjudged. */
  stop(): void;
}

/** Samples twice a second. */
export function watchHeld(programs: readonly Program[]): HeldWatch {
  const before = heldBy(programs);
  const during: Held[] = [];
  const timer = setInterval(() => during.push(...heldBy(programs)), 500).unref();
  const stop = (): void => clearInterval(timer);
  return {
    stop,
    assertBounded: async () => {
      stop();
      let after = heldBy(programs);
      const isBounded = (): boolean => {
        after = heldBy(programs);
        return findGrown({ before, during, after }, heldBound).length === 0;
      };
      await until(isBounded, "files are closed again", { timeoutMs: 10_000 }).catch(() => undefined);
      assert.deepEqual(findGrown({ before, during, after }, heldBound), []);
      for (const { program, files } of before) {
        const large = { program, files, rssAnonBytes: heldBound.rssAnonBytesMax + 1 };
        assert.equal(findGrown({ before, during: [...during, large], after }, heldBound).length, 1, program);
        const open = files + heldBound.filesMoreMax + 1;
        const leaky = after.map((held) => (held.program === program ? { ...held, files: open } : held));
        assert.equal(findGrown({ before, during, after: leaky }, heldBound).length, 1, program);
      }
    },
  };
}
