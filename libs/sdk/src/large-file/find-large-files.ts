import { join } from "node:path";
import { CodedError } from "@millrace/errors";
import { compilePattern, type FoundFile, type NamePattern, scanDirectory } from "@millrace/files";
import { SourceServiceService } from "@millrace/proto/source";
import type { Channel } from "../rpc/channel.js";
import { isCurable } from "../rpc/follow.js";
import { invalidArgument, MillraceError } from "../rpc/millrace-error.js";
import { checkKeys, checkText } from "../units/checks.js";
import { type Duration, parseDuration } from "../units/duration.js";
import { parseSize, type Size } from "../units/size.js";

/*
 * A file, by device, inode and birth:
 *
 *     not seen ──large──► seen ──same size and time at the next look──► handed over ──gone──► forgotten
 *                         │  ▲
 *                         └──┘ changed since the last look
 *
 * Names and content stay in this process: nothing of them is asked of the server or told to it.
 */

export interface LargeFileOptions {
  /** Bytes from which on a file is large. Default `"64MB"`. */
  minSize?: Size;
  /** A directory of this machine. Default: those of the stream's file sources, as they are at each look. */
  path?: string;
  /** Glob of file names below `path`. Default `*`. */
  pattern?: string;
  /** How often is looked, and how long a file must have rested to be handed over. Default 1 s. */
  pollInterval?: Duration;
}

/** A file to hand over, or what keeps this process from looking. */
export type LargeFind = { path: string; problem?: undefined } | { path: string; problem: MillraceError };

interface Place {
  path: string;
  pattern: NamePattern;
}

const keys = ["minSize", "path", "pattern", "pollInterval"] as const;
const minSizeDefault = 64_000_000;
const pollMs = { default: 1_000, min: 50 };
/** A directory with more is looked through in part, and says so. */
const limits = { entriesMax: 100_000, filesMax: 10_000 };

export interface LookOptions {
  minBytes: number;
  pollMs: number;
  /** Undefined: where the stream's file sources are. */
  place: Place | undefined;
}

export function toLookOptions(options: LargeFileOptions): LookOptions {
  checkKeys(options, keys, "");
  const { minSize, path, pattern, pollInterval } = options;
  if (path !== undefined) checkText(path, "path");
  if (pattern !== undefined && path === undefined) {
    throw invalidArgument(
      "pattern",
      "stands without a path",
      "Name the directory in path, or leave both out.",
    );
  }
  const interval = pollInterval === undefined ? pollMs.default : parseDuration(pollInterval, "pollInterval");
  if (interval < pollMs.min) {
    throw invalidArgument("pollInterval", `is ${interval} ms`, `Give at least ${pollMs.min} ms.`);
  }
  return {
    minBytes: minSize === undefined ? minSizeDefault : parseSize(minSize, "minSize"),
    pollMs: interval,
    place: path === undefined ? undefined : { path, pattern: compile(pattern ?? "*") },
  };
}

function compile(pattern: string): NamePattern {
  try {
    return compilePattern(pattern);
  } catch (caught) {
    const { code, message, remedy } = CodedError.from(caught);
    throw new MillraceError(code, message, { field: "pattern", ...(remedy !== undefined && { remedy }) });
  }
}

export interface Looking {
  stream: string;
  look: LookOptions;
  signal: AbortSignal;
  /** Called when it was looked for the first time. */
  onOpen: () => void;
}

interface Seen {
  size: bigint;
  changedNs: bigint;
  isHandedOver: boolean;
}

/** Each large file once, when it rests; each problem once, until it is gone and comes again. */
export async function* findLargeFiles(
  channel: Channel,
  { stream, look, signal, onOpen }: Looking,
): AsyncGenerator<LargeFind, void, undefined> {
  let seen = new Map<string, Seen>();
  let told = new Set<string>();
  while (!signal.aborted) {
    const scan = await scanPlaces(channel, { stream, look });
    const problems = new Set(scan.problems.map(({ problem }) => problem?.message ?? ""));
    for (const each of scan.problems) if (!told.has(each.problem?.message ?? "")) yield each;
    told = problems;
    // What could not be looked at is not gone.
    const now = new Map(problems.size === 0 ? [] : seen);
    for (const { path, stats } of scan.found) {
      const id = `${stats.dev}:${stats.ino}:${stats.birthtimeNs}`;
      const { size, mtimeNs: changedNs } = stats;
      if (!stats.isFile() || size < look.minBytes) continue;
      const before = seen.get(id);
      const isHandedOver = before?.isHandedOver ?? false;
      const rests = before !== undefined && before.size === size && before.changedNs === changedNs;
      now.set(id, { size, changedNs, isHandedOver: isHandedOver || rests });
      if (!rests || isHandedOver) continue;
      // Two sources may see the same file, and a look may end in between.
      before.isHandedOver = true;
      yield { path };
    }
    seen = now;
    onOpen();
    await channel.environment.sleep(look.pollMs, signal);
  }
}

interface Scanned {
  found: { path: string; stats: FoundFile["stats"] }[];
  problems: LargeFind[];
}

async function scanPlaces(
  channel: Channel,
  { stream, look }: Pick<Looking, "stream" | "look">,
): Promise<Scanned> {
  const scanned: Scanned = { found: [], problems: [] };
  const fail = (caught: unknown, path: string): void => {
    const problem = MillraceError.from(caught, `look for large files of ${stream}`);
    scanned.problems.push({ path, problem });
  };
  for (const { path, pattern } of await placesOf(channel, stream, { look, fail })) {
    try {
      const { found, errors } = await scanDirectory(path, pattern, limits);
      for (const { name, stats } of found) scanned.found.push({ path: join(path, name), stats });
      for (const error of errors) fail(error, path);
    } catch (caught) {
      fail(caught, path);
    }
  }
  return scanned;
}

interface PlacesOptions {
  look: LookOptions;
  fail(caught: unknown, path: string): void;
}

async function placesOf(channel: Channel, stream: string, { look, fail }: PlacesOptions): Promise<Place[]> {
  if (look.place !== undefined) return [look.place];
  try {
    const call = { attempted: `list the sources of ${stream}` };
    const { sources } = await channel.unary(SourceServiceService.listSources, { stream }, call);
    return sources.flatMap(({ kind }) => {
      if (kind?.$case !== "file") return [];
      const { path, pattern } = kind.value;
      try {
        return [{ path, pattern: compile(pattern) }];
      } catch (caught) {
        // A source whose pattern ingestion refuses too.
        fail(caught, path);
        return [];
      }
    });
  } catch (caught) {
    const error = MillraceError.from(caught);
    if (!isCurable(error)) throw error;
    fail(error, "");
    return [];
  }
}
