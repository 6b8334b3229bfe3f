import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@millrace/errors";
import { deriveId } from "@millrace/envelope";
import { Kind } from "@millrace/proto/batch";
import { z } from "zod";
import type { ReplayBounds } from "./replay-bounds.js";
import { type ReplayedRow, rowOfRecord } from "./replayed-row.js";

/** What output writes beside each finished file. */
const manifest = z.looseObject({
  file: z.string().regex(/^part-[a-z0-9-]+\.jsonl$/),
  bytes: z.int(),
  sha256: z.string(),
  format: z.enum(["lines", "records"]),
  closed: z.string(),
  sources: z.array(
    z.looseObject({ source: z.string(), intervals: z.array(z.tuple([z.number(), z.number()])) }),
  ),
});

type Manifest = z.infer<typeof manifest>;

/**
 * The messages of a stream's finished files, oldest file first; a file whose manifest says that it holds
 * nothing wanted is not read. Errors: `failed_precondition` for bounds on files that hold lines, `data_loss`.
 */
export async function* readParts(dir: string, bounds: ReplayBounds): AsyncGenerator<ReplayedRow> {
  for (const part of await listParts(dir)) {
    if (!mayHold(part, bounds)) continue;
    if (part.format === "lines" && bounds.kind !== "all") {
      throw new CodedError("failed_precondition", "replay: files of lines hold no times and no positions", {
        field: bounds.kind === "time" ? "from.time" : "from.position",
        remedy: "Leave from and to out, or replay from the results.",
      });
    }
    const path = join(dir, part.file);
    let line = 0;
    for await (const bytes of linesOf(path, part)) {
      yield part.format === "lines" ? rowOfLine(bytes, part, line) : rowOfRecord(bytes, part.file);
      line++;
    }
  }
}

async function listParts(dir: string): Promise<Manifest[]> {
  const names = await readdir(dir).catch((): string[] => []);
  const visible = new Set(names);
  const parts: Manifest[] = [];
  for (const name of names.filter((each) => each.endsWith(".manifest.json")).sort()) {
    const text = await readFile(join(dir, name), "utf8").catch(() => "");
    const parsed = manifest.safeParse(text === "" ? undefined : JSON.parse(text));
    // One without its file announces nothing: it was taken away, or is not there yet.
    if (parsed.success && visible.has(parsed.data.file)) parts.push(parsed.data);
  }
  return parts;
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

/** Lines without their line feed. The file is compared with its manifest as it is read. */
async function* linesOf(path: string, { file, bytes, sha256 }: Manifest): AsyncGenerator<Buffer> {
  const hash = createHash("sha256");
  let read = 0;
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    const block = chunk as Buffer;
    hash.update(block);
    read += block.length;
    rest = rest.length === 0 ? block : Buffer.concat([rest, block]);
    let start = 0;
    for (let end = rest.indexOf(0x0a); end !== -1; end = rest.indexOf(0x0a, start)) {
      yield rest.subarray(start, end);
      start = end + 1;
    }
    rest = rest.subarray(start);
  }
  if (read !== bytes || hash.digest("hex") !== sha256) {
    throw new CodedError("data_loss", `replay: ${file} is not what its manifest says`, {
      remedy: "Replay from the results, or from a copy of the file.",
    });
  }
}
