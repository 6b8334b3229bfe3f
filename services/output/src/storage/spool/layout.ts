import { join } from "node:path";
import { CodedError } from "@millrace/errors";

/*
 * <root>/<tenant>/<stream>/
 *   part-<writer>-<number>.jsonl           visible and final: never changed, only removed by its reader
 *   part-<writer>-<number>.manifest.json   beside it, and there before it
 *   date=<day>/                            of Parquet, by the day in UTC on which the part was begun
 *     part-<writer>-<number>.parquet
 *     _part-<writer>-<number>.manifest.json   readers of such folders pass over names that begin so
 *   .spool/
 *     <writer>-<number>.data               what is being written; see spool.ts
 *     <writer>-<number>.journal            what of it is committed; see journal.ts
 *     <writer>-<number>.compact            the part, where it is not .data as it lies: fewer rows, or Parquet
 *     <writer>-<number>.*.tmp              half written, worth nothing after a crash
 *     done/<writer>-<number>-<ms>.journal  of finished parts: keyed ids, and the last number given out
 *     free/<writer>-<number>.free          a part that was taken back; its blocks are written anew
 *     quarantine/                          bytes that recovery could not trust, for a person to look at
 *
 * <number> has 8 digits, counts up and is never given out again. <ms> is when the part was finished, since
 * the epoch. A writer touches only files with its own name: replicas share a directory without a lock, but no
 * two processes may have one name.
 */
export interface Layout {
  readonly writer: string;
  readonly streamDir: string;
  readonly spoolDir: string;
  readonly doneDir: string;
  readonly quarantineDir: string;
  readonly freeDir: string;
  /** With a day: of a Parquet part. So are the following. */
  partName(number: number, day?: string): string;
  part(number: number, day?: string): string;
  manifest(number: number, day?: string): string;
  /** Where both of them lie. */
  partDir(day?: string): string;
  manifestTemp(number: number): string;
  data(number: number): string;
  journal(number: number): string;
  journalTemp(number: number): string;
  compact(number: number): string;
  done(number: number, closedMs: number): string;
  free(number: number): string;
  /** What a name in a directory of ours is, or undefined where it is another writer's or nobody's. */
  parse(name: string): FileName | undefined;
}

export interface FileName {
  number: number;
  kind: "part" | "manifest" | "data" | "journal" | "compact" | "temp" | "done" | "free";
  /** Only of `done`. */
  closedMs: number;
}

const numberDigits = 8;
const namePattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** In UTC, YYYY-MM-DD. */
export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

export function createLayout(of: { root: string; tenant: string; stream: string; writer: string }): Layout {
  for (const field of ["tenant", "stream", "writer"] as const) {
    if (namePattern.test(of[field])) continue;
    throw new CodedError("invalid_argument", `open storage: the ${field} cannot be part of a file name`, {
      field,
      remedy: "Use 1 to 63 of a-z, 0-9 and '-', neither first nor last a '-'.",
    });
  }
  const { writer } = of;
  const streamDir = join(of.root, of.tenant, of.stream);
  const spoolDir = join(streamDir, ".spool");
  const doneDir = join(spoolDir, "done");
  const freeDir = join(spoolDir, "free");
  const stem = (number: number): string => `${writer}-${String(number).padStart(numberDigits, "0")}`;
  const inSpool = (number: number, ending: string): string => join(spoolDir, `${stem(number)}.${ending}`);
  const partDir = (day?: string): string => (day === undefined ? streamDir : join(streamDir, `date=${day}`));
  const partName = (number: number, day?: string): string =>
    `part-${stem(number)}.${day === undefined ? "jsonl" : "parquet"}`;
  const manifestName = (number: number, day?: string): string =>
    `${day === undefined ? "" : "_"}part-${stem(number)}.manifest.json`;
  return {
    writer,
    streamDir,
    spoolDir,
    doneDir,
    quarantineDir: join(spoolDir, "quarantine"),
    freeDir,
    partName,
    partDir,
    part: (number, day) => join(partDir(day), partName(number, day)),
    manifest: (number, day) => join(partDir(day), manifestName(number, day)),
    manifestTemp: (number) => inSpool(number, "manifest.tmp"),
    data: (number) => inSpool(number, "data"),
    journal: (number) => inSpool(number, "journal"),
    journalTemp: (number) => inSpool(number, "journal.tmp"),
    compact: (number) => inSpool(number, "compact"),
    free: (number) => join(freeDir, `${stem(number)}.free`),
    done: (number, closedMs) => join(doneDir, `${stem(number)}-${closedMs}.journal`),
    parse: (name) => parseName(name, writer),
  };
}

const spoolKinds: Readonly<Record<string, FileName["kind"]>> = {
  data: "data",
  journal: "journal",
  compact: "compact",
  free: "free",
  "manifest.tmp": "temp",
  "journal.tmp": "temp",
};
const partKinds: Readonly<Record<string, FileName["kind"]>> = {
  jsonl: "part",
  parquet: "part",
  "manifest.json": "manifest",
};

/** The writer is matched as a whole, since one writer's name may begin with another's. */
function parseName(given: string, writer: string): FileName | undefined {
  const name = given.startsWith("_part-") ? given.slice(1) : given;
  const isSpooled = name.startsWith(`${writer}-`);
  if (!isSpooled && !name.startsWith(`part-${writer}-`)) return undefined;
  const parsed = parseRest(name.slice(writer.length + 1), spoolKinds);
  return isSpooled && parsed !== undefined ? parsed : parseRest(name.slice(writer.length + 6), partKinds);
}

function parseRest(rest: string, kinds: Readonly<Record<string, FileName["kind"]>>): FileName | undefined {
  const match = /^(\d{8})(?:-(\d+))?\.(.+)$/.exec(rest);
  if (match === null) return undefined;
  const [, number, closedMs, ending = ""] = match;
  const kind = closedMs === undefined ? kinds[ending] : doneKind(ending, kinds);
  return kind === undefined ? undefined : { number: Number(number), kind, closedMs: Number(closedMs ?? 0) };
}

function doneKind(ending: string, kinds: object): "done" | undefined {
  return kinds === spoolKinds && ending === "journal" ? "done" : undefined;
}
