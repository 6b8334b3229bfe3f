import { type FileHandle, mkdir, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { LedgerKey } from "@millrace/messaging";

/*
 * What was accepted and may not be in the LEDGER yet, which is up to 100 ms late. Two files take turns:
 *
 *     <dir>/accepted-0.log, <dir>/accepted-1.log      a line each: tenant stream source from to count bytes
 *
 *     append ─► current file;   rotate: the other becomes current ─► ledger flushed ─► the old one is emptied
 *
 * Lines are written before the answer and not synced: they survive a killed process. A power cut may cost
 * counts and makes a source send again from an older position, which sinks recognise; it never costs a
 * message.
 */
export interface Accepted extends LedgerKey {
  from: number;
  to: number;
  count: number;
  /** Of body and columns; 0 where a version before it wrote the line. */
  bytes: number;
}

export interface AcceptJournal {
  /** What the last life had accepted, oldest first. */
  readonly replayed: readonly Accepted[];
  append(accepted: Accepted): Promise<void>;
  /** Empties what `flushed` makes superfluous. */
  rotate(flushed: () => Promise<void>): Promise<void>;
  /** Bytes since the last rotation. */
  bytes(): number;
  close(): Promise<void>;
}

const names = ["accepted-0.log", "accepted-1.log"] as const;

export async function openAcceptJournal(dir: string): Promise<AcceptJournal> {
  await mkdir(dir, { recursive: true });
  const paths = names.map((name) => join(dir, name));
  const texts = await Promise.all(paths.map((path) => readFile(path, "utf8").catch(() => "")));
  const files = await Promise.all(paths.map((path) => open(path, "a")));
  let current = 0;
  let bytes = 0;
  let waiting: { line: string; resolve(): void; reject(error: unknown): void }[] = [];
  let writing: Promise<void> | undefined;

  /** One write for all that came while the last one ran. */
  const write = async (): Promise<void> => {
    while (waiting.length > 0) {
      const group = waiting;
      waiting = [];
      const text = group.map(({ line }) => line).join("");
      bytes += text.length;
      try {
        await (files[current] as FileHandle).appendFile(text);
        for (const { resolve } of group) resolve();
      } catch (caught) {
        for (const { reject } of group) reject(caught);
      }
    }
    writing = undefined;
  };

  return {
    replayed: texts.flatMap((text) => text.split("\n").slice(0, -1).flatMap(parseLine)),
    append: ({ tenant, stream, source, from, to, count, bytes: weight }) =>
      new Promise((resolve, reject) => {
        const line = `${tenant} ${stream} ${source} ${from} ${to} ${count} ${weight}\n`;
        waiting.push({ line, resolve, reject });
        writing ??= write();
      }),
    rotate: async (flushed) => {
      await writing;
      const old = files[current] as FileHandle;
      current = 1 - current;
      bytes = 0;
      await flushed();
      await old.truncate(0);
    },
    bytes: () => bytes,
    close: async () => {
      await writing;
      await Promise.all(files.map((file) => file.close()));
    },
  };
}

/** A line that a crash cut short is no line: its message was not answered. */
function parseLine(line: string): Accepted[] {
  const [tenant = "", stream = "", source = "", from, to, count, bytes = "0"] = line.split(" ");
  if (count === undefined) return [];
  const numbers = { from: Number(from), to: Number(to), count: Number(count), bytes: Number(bytes) };
  return [{ tenant, stream, source, ...numbers }];
}
