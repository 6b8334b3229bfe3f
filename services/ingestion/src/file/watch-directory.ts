import { type FSWatcher, watch as watchFiles } from "node:fs";

export interface DirectoryWatch {
  close(): void;
}

/**
 * Tells when something in a directory changes, so that it need not wait for the next poll. Undefined where
 * the system can't: on network file systems, or with too many watches. Directories below are left to the
 * poll.
 */
export function watchDirectory(path: string, onChange: () => void): DirectoryWatch | undefined {
  let watcher: FSWatcher | undefined;
  try {
    watcher = watchFiles(path, { persistent: false }, onChange);
    watcher.on("error", () => watcher?.close());
    return watcher;
  } catch {
    return undefined;
  }
}

/** After a change until the next scan: small growth is gathered into fewer frames. */
const pauseMsMin = 100;

/** Changes that follow fast are seen by one scan, and scans take a small part of the time. */
export function pacedWatch(
  { watch, sleep }: { watch?: typeof watchDirectory; sleep(ms: number, signal: AbortSignal): Promise<void> },
  { signal, scanMs, onChange }: { signal: AbortSignal; scanMs(): number; onChange(): void },
): ((path: string) => DirectoryWatch | undefined) | undefined {
  if (watch === undefined) return undefined;
  let isDue = false;
  return (path) =>
    watch(path, () => {
      if (isDue || signal.aborted) return;
      isDue = true;
      const slept = sleep(Math.max(pauseMsMin, 10 * scanMs()), signal).catch(() => undefined);
      void slept.then(() => {
        isDue = false;
        onChange();
      });
    });
}
