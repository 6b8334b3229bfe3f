import { createReadStream } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@millrace/errors";
import { deriveId } from "@millrace/envelope";
import { Kind } from "@millrace/proto/batch";
import { z } from "zod";
import { createPartLinks, type PartLinks } from "./part-links.js";
import type { ReplayBounds } from "./replay-bounds.js";
import { rowsOfParquet } from "./parquet-rows.js";
import { jsonOf, type ReplayedRow, rowOfRecord } from "./replayed-row.js";
import { partBlockBytes, verifyPart } from "./verify-part.js";

/** What output writes beside each finished file. */
const manifest = z.looseObject({
  file: z.string().regex(/^part-[a-z0-9-]+\.(jsonl|parquet)$/),
  bytes: z.int(),
  blake3: z.string(),
  format: z.enum(["lines", "records", "parquet"]),
  closed: z.string(),
  sources: z.array(
    z.looseObject({ source: z.string(), intervals: z.array(z.tuple([z.number(), z.number()])) }),
  ),
});

type Manifest = z.infer<typeof manifest>;

/** Where output puts Parquet files, by day. */
const dayFolder = /^date=\d{4}-\d{2}-\d{2}$/;

/** The files of output that are finished. */
export interface StoredParts {
  /**
   * The messages of a stream's files that are there when it begins, oldest first; a file whose manifest says
   * that it holds nothing wanted is not read. Nothing of a file comes out before all of it was compared with
   * its manifest. Errors: `failed_precondition` for bounds on files that hold lines, `data_loss`, `not_found`
   * for a file that was removed before its turn.
   */
  read(
    of: { tenant: string; stream: string },
    bounds: ReplayBounds,
    signal: AbortSignal,
  ): AsyncGenerator<ReplayedRow>;
}

/** What an earlier process of this name held is let go of. */
export async function openStoredParts(of: { root: string; instance: string }): Promise<StoredParts> {
  const links = createPartLinks(of);
  await links.clear();
  return {
    read: ({ tenant, stream }, bounds, signal) =>
      readParts({ dir: join(of.root, tenant, stream), links, bounds, signal }),
  };
}

interface Reading {
  /** Of the stream. */
  dir: string;
  links: PartLinks;
  bounds: ReplayBounds;
  signal: AbortSignal;
}

async function* readParts({ dir, links, bounds, signal }: Reading): AsyncGenerator<ReplayedRow> {
  for (const { part, path } of await listParts(dir)) {
    if (!mayHold(part, bounds)) continue;
    if (part.format === "lines" && bounds.kind !== "all") {
      throw new CodedError("failed_precondition", "replay: files of lines hold no times and no positions", {
        field: bounds.kind === "time" ? "from.time" : "from.position",
        remedy: "Leave from and to out, or replay from the results.",
      });
    }
    const held = await links.hold(path);
    try {
      await verifyPart(held.path, part, signal);
      yield* rowsOf(held.path, part);
    } finally {
      await held.release();
    }
  }
}

async function* rowsOf(path: string, part: Manifest): AsyncGenerator<ReplayedRow> {
  if (part.format === "parquet") {
    yield* rowsOfParquet(path, part.file);
    return;
  }
  let line = 0;
  for await (const bytes of linesOf(path)) {
    yield part.format === "lines" ? rowOfLine(bytes, part, line) : rowOfRecord(bytes, part.file);
    line++;
  }
}

interface ListedPart {
  part: Manifest;
  path: string;
}

/** In the order of their writers and numbers, whatever folder they lie in. */
async function listParts(dir: string): Promise<ListedPart[]> {
  const names = (await ifThere(readdir(dir))) ?? [];
  const parts = await partsIn(dir, names);
  for (const day of names.filter((name) => dayFolder.test(name))) {
    const path = join(dir, day);
    for (const part of await partsIn(path, (await ifThere(readdir(path))) ?? [])) parts.push(part);
  }
  return parts.sort((left, right) => (left.part.file < right.part.file ? -1 : 1));
}

async function partsIn(dir: string, names: readonly string[]): Promise<ListedPart[]> {
  const visible = new Set(names);
  const parts: ListedPart[] = [];
  for (const name of names.filter((each) => each.endsWith(".manifest.json"))) {
    const text = await ifThere(readFile(join(dir, name), "utf8"));
    // Taken back meanwhile, as if before.
    if (text === undefined) continue;
    const part = readManifest(name, text);
    // One without its file announces nothing: it was taken away, or is not there yet.
    if (visible.has(part.file)) parts.push({ part, path: join(dir, part.file) });
  }
  return parts;
}

async function ifThere<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (caught) {
    if (CodedError.from(caught).code === "not_found") return undefined;
    throw caught;
  }
}

function readManifest(name: string, text: string): Manifest {
  const parsed = manifest.safeParse(jsonOf(text));
  if (parsed.success) return parsed.data;
  throw new CodedError("data_loss", `replay: ${name} can't be read as a manifest`, {
    remedy: "Restore it from a copy, or move it away with its file to replay the others.",
  });
}

function mayHold({ sources }: Manifest, { kind, source, from, to }: ReplayBounds): boolean {
  if (kind !== "position") return true;
  const held = sources.find((each) => each.source === source)?.intervals ?? [];
  return held.some(([first, end]) => first < to && end > from);
}

/** A line knows nothing of itself; the file's name is never given out again, so its place tells it apart. */
function rowOfLine(content: Uint8Array, { file, closed }: Manifest, line: number): ReplayedRow {
  return {
    source: deriveId("stored-part", file),
    position: line,
    reach: 1,
    kind: Kind.KIND_TEXT,
    content,
    sourceId: "replay",
    attributes: [],
    eventTimeMs: Date.parse(closed),
  };
}

/** Lines without their line feed. */
async function* linesOf(path: string): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of createReadStream(path, { highWaterMark: partBlockBytes })) {
    const block = chunk as Buffer;
    rest = rest.length === 0 ? block : Buffer.concat([rest, block]);
    let start = 0;
    for (let end = rest.indexOf(0x0a); end !== -1; end = rest.indexOf(0x0a, start)) {
      yield rest.subarray(start, end);
      start = end + 1;
    }
    rest = rest.subarray(start);
  }
}
