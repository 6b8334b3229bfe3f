export interface Checks {
  /** Runs a check: it has failed when it throws. What it returns is told as its figures. */
  check(name: string, run: () => Promise<string | void>): Promise<boolean>;
  say(line: string): void;
  readonly passed: number;
  readonly failed: number;
}

export function createChecks(write: (line: string) => void): Checks {
  let passed = 0;
  let failed = 0;
  const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`;
  return {
    async check(name, run) {
      const began = performance.now();
      try {
        const figures = await run();
        passed += 1;
        write(`ok   ${name} (${seconds(began)})${figures === undefined ? "" : `: ${figures}`}`);
        return true;
      } catch (error) {
        failed += 1;
        const what = error instanceof Error ? error.message : String(error);
        write(`FAIL ${name} (${seconds(began)})\n${what.replaceAll(/^/gm, "     ")}`);
        return false;
      }
    },
    say: write,
    get passed() {
      return passed;
    },
    get failed() {
      return failed;
    },
  };
}

/** Throws what is wrong, if anything. */
export function expectNone(what: string, found: readonly string[]): void {
  if (found.length === 0) return;
  throw new Error(`${found.length} ${what}:\n${found.slice(0, shownMax).join("\n")}`);
}

const shownMax = 20;
