/**
 * One program's raw output: <folder>/<name>.log, and <name>.log.1 before it. Both together never exceed twice
 * `fileBytesMax`. Writes are synchronous: logs are thin, and the last line before a crash must be there.
 */
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";

export interface LogFile {
  write: (line: string) => void;
  close: () => void;
}

export interface LogFileOptions {
  folder: string;
  name: string;
  /** Told once when the file cannot be written, such as on a full disk; the program goes on without. */
  onError: (error: Error) => void;
  fileBytesMax?: number;
}

const fileBytesMaxDefault = 8 * 1024 * 1024;

export function openLogFile(options: LogFileOptions): LogFile {
  const path = join(options.folder, `${options.name}.log`);
  const bytesMax = options.fileBytesMax ?? fileBytesMaxDefault;
  let file: number | undefined;
  let bytes = 0;
  const open = () => {
    mkdirSync(options.folder, { recursive: true });
    file = openSync(path, "a");
    bytes = fstatSync(file).size;
  };
  const close = () => {
    if (file !== undefined) closeSync(file);
    file = undefined;
  };
  const append = (line: string) => {
    if (file === undefined) return;
    if (bytes >= bytesMax) {
      close();
      renameSync(path, `${path}.1`);
      open();
    }
    bytes += writeSync(file, `${line}\n`);
  };
  const guarded = (work: () => void) => {
    try {
      work();
    } catch (caught) {
      close();
      options.onError(caught instanceof Error ? caught : new Error(String(caught)));
    }
  };
  guarded(open);
  return { write: (line) => guarded(() => append(line)), close };
}
