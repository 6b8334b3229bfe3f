import { open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { SourceRange } from "./live-bytes.js";

/*
 * What was live when the accept journal was last emptied; what came since stands in the journal itself.
 *
 *     <dir>/live.log      a line each: tenant stream source createdMs from to bytes sinks
 *
 * Written whole, then renamed; not synced, as the journal. What a power cut costs is counted as settled: a
 * stream then holds more than its quota until that is through.
 */
const name = "live.log";

export async function saveRanges(dir: string, ranges: readonly SourceRange[]): Promise<void> {
  const path = join(dir, name);
  const file = await open(`${path}.new`, "w");
  try {
    await file.writeFile(ranges.map(formatLine).join(""));
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}

export async function loadRanges(dir: string): Promise<SourceRange[]> {
  const text = await readFile(join(dir, name), "utf8").catch(() => "");
  return text.split("\n").slice(0, -1).flatMap(parseLine);
}

function formatLine({ tenant, stream, source, createdMs, from, to, bytes, sinks }: SourceRange): string {
  return `${tenant} ${stream} ${source} ${createdMs} ${from} ${to} ${bytes} ${sinks}\n`;
}

function parseLine(line: string): SourceRange[] {
  const [tenant = "", stream = "", source = "", ...rest] = line.split(" ");
  const [createdMs = 0, from = 0, to = 0, bytes = 0, sinks = 0] = rest.map(Number);
  // A line that a crash cut short, or that somebody edited, counts nothing.
  if (rest.length !== 5 || !rest.every((text) => /^\d+$/.test(text)) || to <= from) return [];
  return [{ tenant, stream, source, createdMs, from, to, bytes, sinks }];
}
