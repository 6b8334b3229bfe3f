import { readFileSync } from "node:fs";
import { link, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CodedError } from "@millrace/errors";

/** What lies beside a part: [from, to) pairs of source positions, byte offsets here. */
export interface PartManifest {
  file: string;
  messages: number;
  bytes: number;
  blake3: string;
  sources: { source: string; intervals: [number, number][]; messages: number }[];
}

/** At once: on a busy machine, a manifest that waited for its turn would be gone with its part. */
function readNow(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

export interface PartWatch {
  /** Waits until the manifests tell of so many messages; then each manifest that was ever there. */
  untilPublished(messages: number): Promise<PartManifest[]>;
  stop(): void;
}

const pollMs = 200;
/** A part is put aside that often, so that what is compared is of the whole run. */
const sampleMs = 8_000;
const samplesMax = 10;
/** Parts close at an age of 2 s. */
const closingMs = 30_000;

/**
 * Reads each manifest as it appears: a part that is taken back and its manifest are not there at the end.
 * Some get a second name in `samplesDir`, under which no sink writes them anew.
 */
export function watchParts(dir: string, signal: AbortSignal, samplesDir?: string): PartWatch {
  const manifests = new Map<string, PartManifest>();
  const stopping = new AbortController();
  const ending = AbortSignal.any([signal, stopping.signal]);
  let samples = 0;
  let nextSampleMs = performance.now();
  const putAside = async ({ file }: PartManifest): Promise<void> => {
    if (samplesDir === undefined || samples === samplesMax || performance.now() < nextSampleMs) return;
    await mkdir(samplesDir, { recursive: true });
    // A manifest is there a moment before its part: then the next part is taken.
    const isLinked = await link(join(dir, file), join(samplesDir, file)).then(
      () => true,
      () => false,
    );
    if (!isLinked) return;
    samples += 1;
    nextSampleMs = performance.now() + sampleMs;
  };
  const look = async (): Promise<void> => {
    const names = await readdir(dir).catch(() => []);
    for (const name of names) {
      if (!name.endsWith(".manifest.json") || manifests.has(name)) continue;
      // Gone since it was listed: its messages are then missed, and the check says so.
      const text = readNow(join(dir, name));
      if (text === undefined) continue;
      const manifest = JSON.parse(text) as PartManifest;
      manifests.set(name, manifest);
      await putAside(manifest);
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
