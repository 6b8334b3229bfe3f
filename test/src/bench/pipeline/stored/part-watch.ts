import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CodedError } from "@millrace/errors";

/** What lies beside a part: [from, to) pairs of source positions, byte offsets here. */
export interface PartManifest {
  file: string;
  messages: number;
  bytes: number;
  sha256: string;
  sources: { source: string; intervals: [number, number][]; messages: number }[];
}

export interface PartWatch {
  /** Waits until the manifests tell of so many messages; then each manifest that was ever there. */
  untilPublished(messages: number): Promise<PartManifest[]>;
  stop(): void;
}

const pollMs = 200;
/** Parts close at an age of 2 s. */
const closingMs = 30_000;

/** Reads each manifest as it appears: a recycled part and its manifest need not be there at the end. */
export function watchParts(dir: string, signal: AbortSignal): PartWatch {
  const manifests = new Map<string, PartManifest>();
  const stopping = new AbortController();
  const ending = AbortSignal.any([signal, stopping.signal]);
  const look = async (): Promise<void> => {
    const names = await readdir(dir).catch(() => []);
    for (const name of names) {
      if (!name.endsWith(".manifest.json") || manifests.has(name)) continue;
      // Gone since it was listed: its messages are then missed, and the check says so.
      const text = await readFile(join(dir, name), "utf8").catch(() => undefined);
      if (text !== undefined) manifests.set(name, JSON.parse(text) as PartManifest);
    }
  };
  const watching = (async () => {
    while (!ending.aborted) {
      await look();
      await sleep(pollMs, undefined, { signal: ending }).catch(() => undefined);
    }
  })();
  return {
    untilPublished: async (messages) => {
      const until = performance.now() + closingMs;
      for (;;) {
        const found = [...manifests.values()];
        const published = found.reduce((sum, manifest) => sum + manifest.messages, 0);
        if (published >= messages) return found;
        if (performance.now() > until) {
          const missing = `${published} of ${messages} messages are in published files`;
          throw new CodedError("deadline_exceeded", `bench: ${missing}`);
        }
        await Promise.race([watching, sleep(pollMs, undefined, { signal })]);
      }
    },
    stop: () => stopping.abort(),
  };
}
