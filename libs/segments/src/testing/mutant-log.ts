import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { assert } from "@millrace/errors";
import type { openSegmentLog } from "../log/segment-log.js";

/** A line of the compiled log, and what it is to be instead. */
export interface Mutation {
  file: string;
  from: string;
  to: string;
}

/** The log as compiled, with that one change: a model is worth something if it finds such a log out. */
export async function mutantLog(
  t: { after(end: () => void): void },
  { file, from, to }: Mutation,
): Promise<typeof openSegmentLog> {
  const compiled = dirname(import.meta.dirname);
  // Within the package, so that it finds the packages that it imports.
  const dir = mkdtempSync(join(compiled, "mutant-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const isPart = (path: string): boolean => !basename(path).includes(".test.");
  for (const part of ["log", "disk"])
    cpSync(join(compiled, part), join(dir, part), { recursive: true, filter: isPart });
  const path = join(dir, "log", file);
  const source = readFileSync(path, "utf8");
  assert(source.split(from).length === 2, `${file} holds the line that is to be changed, once`);
  writeFileSync(path, source.replace(from, to));
  const changed: { openSegmentLog: typeof openSegmentLog } = await import(
    pathToFileURL(join(dir, "log", "segment-log.js")).href
  );
  return changed.openSegmentLog;
}
