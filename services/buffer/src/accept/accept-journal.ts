import { join } from "node:path";
import { isSystemError, writeAll } from "@millrace/files";
import { type Accepted, acceptLine, type LineFormat } from "./accept-line.js";
import { type JournalDisk, type JournalFile, nodeDisk } from "./journal-disk.js";

/*
 * What was accepted and may not be in the LEDGER yet, which is up to 100 ms late. Two files take turns:
 *
 *     <dir>/accepted-0.log, <dir>/accepted-1.log      lines, see accept-line.ts
 *
 *     append ─► current file;   rotate: the other becomes current ─► ledger flushed ─► the old one is emptied
 *
 * A line is written when its batch is on the bus and before the answer, and is not synced: it survives a
 * killed process. What a failed write left is cut off before the next line goes there.
 *
 * So each line that was answered is whole, unless the machine lost power or the disk altered it, and then it
 * is safe to leave it out: its batch is on the bus, and no position counts as accepted that is not. Its
 * source resumes at an older position and sends the batch again, which stages and sinks recognise by its
 * positions. It may cost a count, where the source does not come back; it never costs a message.
 */
export interface AcceptJournal {
  /** What the last life had accepted, oldest first; what is there twice was accepted once. */
  readonly replayed: readonly Accepted[];
  /** Lines that were left out, since they are not what was written. */
  readonly damaged: number;
  append(accepted: Accepted): Promise<void>;
  /**
   * Empties what `flushed` makes superfluous: it covers what was settled as soon as its append resolved. One
   * at a time.
   */
  rotate(flushed: () => Promise<void>): Promise<void>;
  /** Of both files. */
  bytes(): number;
  close(): Promise<void>;
}

export interface AcceptJournalOptions {
  dir: string;
  /** Files of the file system when absent. */
  disk?: JournalDisk;
  lines?: LineFormat;
}

/** One of the two files. */
interface Half {
  file: JournalFile;
  /** Behind the last whole line. */
  end: number;
  /** Something may lie behind `end`. */
  isTorn: boolean;
}

interface Waiting {
  line: string;
  resolve(): void;
  reject(error: unknown): void;
}

const names = ["accepted-0.log", "accepted-1.log"] as const;

export async function openAcceptJournal(options: AcceptJournalOptions): Promise<AcceptJournal> {
  const { dir, disk = nodeDisk, lines = acceptLine } = options;
  await disk.makeDirectory(dir);
  const first = await openHalf(disk, join(dir, names[0]));
  const second = await openHalf(disk, join(dir, names[1]));
  const parsed = [...first.lines, ...second.lines].map((line) => lines.parse(line));
  const whole = parsed.filter((line) => line !== undefined).sort((a, b) => a.number - b.number);
  let lastNumber = whole.at(-1)?.number ?? 0;
  let [current, other] = [first.half, second.half];
  let waiting: Waiting[] = [];
  let writing: Promise<void> | undefined;
  let extending = Promise.resolve();

  /** One write for all that came while the last one ran. */
  const write = async (): Promise<void> => {
    while (waiting.length > 0) {
      const group = waiting;
      waiting = [];
      const bytes = Buffer.from(group.map(({ line }) => line).join(""));
      extending = extend(current, bytes).then(
        () => group.forEach(({ resolve }) => resolve()),
        (caught: unknown) => group.forEach(({ reject }) => reject(caught)),
      );
      await extending;
    }
    writing = undefined;
  };

  return {
    replayed: whole.map(({ number: _, ...accepted }) => accepted),
    damaged: parsed.length - whole.length,
    append: (accepted) =>
      new Promise((resolve, reject) => {
        lastNumber += 1;
        waiting.push({ line: lines.format({ ...accepted, number: lastNumber }), resolve, reject });
        writing ??= write();
      }),
    rotate: async (flushed) => {
      const old = current;
      [current, other] = [other, old];
      // What is being written goes to the old one; whoever is answered then has it settled before the flush.
      await extending;
      await flushed();
      // Where that fails, it is done before the next line goes there.
      Object.assign(old, { end: 0, isTorn: true });
      await mend(old);
    },
    bytes: () => current.end + other.end,
    close: async () => {
      await writing;
      await Promise.all([current, other].map(({ file }) => file.close()));
    },
  };
}

/** Reads what is there, and cuts off what a crash left behind the last whole line. */
async function openHalf(disk: JournalDisk, path: string): Promise<{ half: Half; lines: string[] }> {
  const file = await disk.open(path, "existing").catch((caught: unknown) => {
    if (isSystemError(caught, "ENOENT")) return disk.open(path, "create");
    throw caught;
  });
  const bytes = await readWhole(file);
  const end = bytes.lastIndexOf("\n") + 1;
  const half = { file, end, isTorn: end < bytes.length };
  await mend(half);
  return { half, lines: bytes.toString("utf8", 0, end).split("\n").slice(0, -1) };
}

async function readWhole(file: JournalFile): Promise<Buffer> {
  const bytes = Buffer.alloc(await file.size());
  let have = 0;
  for (let read = -1; read !== 0 && have < bytes.length; have += read) {
    read = await file.read(bytes.subarray(have), have);
  }
  return bytes.subarray(0, have);
}

async function extend(half: Half, bytes: Buffer): Promise<void> {
  await mend(half);
  half.isTorn = true;
  try {
    await writeAll(half.file, [bytes], half.end);
  } catch (caught) {
    // At once, so that a process that ends next leaves nothing; else before the next line.
    await mend(half).catch(() => undefined);
    throw caught;
  }
  half.end += bytes.length;
  half.isTorn = false;
}

async function mend(half: Half): Promise<void> {
  if (!half.isTorn) return;
  await half.file.truncate(half.end);
  half.isTorn = false;
}
