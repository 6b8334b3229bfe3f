import { join } from "node:path";
import { CodedError } from "@millrace/errors";

/*
 * <root>/<tenant>/<stream>/
 *   part-<writer>-<number>.jsonl           visible and final: never changed, only removed by its reader
 *   part-<writer>-<number>.manifest.json   beside it, and there before it
 *   .spool/
 *     <writer>-<number>.data               what is being written; see spool.ts
 *     <writer>-<number>.journal            what of it is committed; see journal.ts
 *     <writer>-<number>.compact            .data without discarded rows, made as a part is finished
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
  partName(number: number): string;
  manifestName(number: number): string;
  part(number: number): string;
  manifest(number: number): string;
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
  const partName = (number: number): string => `part-${stem(number)}.jsonl`;
  const manifestName = (number: number): string => `part-${stem(number)}.manifest.json`;
  return {
    writer,
    streamDir,
    spoolDir,
    doneDir,
    quarantineDir: join(spoolDir, "quarantine"),
    freeDir,
    partName,
    manifestName,
    part: (number) => join(streamDir, partName(number)),
    manifest: (number) => join(streamDir, manifestName(number)),
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
const partKinds: Readonly<Record<string, FileName["kind"]>> = { jsonl: "part", "manifest.json": "manifest" };

/** The writer is matched as a whole, since one writer's name may begin with another's. */
function parseName(name: string, writer: string): FileName | undefined {
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
