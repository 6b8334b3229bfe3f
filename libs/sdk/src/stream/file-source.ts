import { FileFormat } from "@millrace/proto/source";
import type { Channel } from "../rpc/channel.js";
import { checkCount, checkKeys, checkOneOf, checkText } from "../units/checks.js";
import { type Duration, parseDuration, toWireDuration } from "../units/duration.js";
import { addSource, type SourceHandle } from "./source-handle.js";

export interface FileSourceOptions {
  /** Absolute directory where ingestion runs, below one of its roots. */
  path: string;
  /** Glob of file names, `**\/` for any depth. Default `*.jsonl`, `*.csv` or `*`, by format. */
  pattern?: string;
  /**
   * How a file becomes messages. `lines` (default): a line each. `csv`: a row each, as a JSON object of texts
   * by the names in the first row. `whole`: the file, once it is at rest: an image of up to 8 MiB, a text of
   * 768 KiB, else data of 4 MiB. What ends in .gz is decoded.
   */
  format?: "lines" | "csv" | "whole";
  /** Between the fields of a CSV file. Default: a comma. */
  delimiter?: string;
  /** How often new files and lines are looked for, at least 50 ms. Default 1 s. */
  pollInterval?: Duration;
  /** What the messages are attributed to. Default: each file's name without its extensions. */
  sourceId?: string;
  /**
   * For load tests: how many times the content of each file is read, in a loop, with positions going on.
   * Above 1 a file must keep its size and end with a complete line. Default 1: once, and what is appended
   * follows.
   */
  repeat?: number;
}

const keys = ["path", "pattern", "format", "delimiter", "pollInterval", "sourceId", "repeat"] as const;

const formats = {
  lines: FileFormat.FILE_FORMAT_LINES,
  csv: FileFormat.FILE_FORMAT_CSV,
  whole: FileFormat.FILE_FORMAT_WHOLE,
};

export async function addFileSource(
  channel: Channel,
  stream: string,
  options: FileSourceOptions,
): Promise<SourceHandle> {
  checkKeys(options, keys, "");
  const { path, pattern, pollInterval, sourceId, repeat, format, delimiter } = options;
  checkText(path, "path");
  if (pattern !== undefined) checkText(pattern, "pattern");
  if (sourceId !== undefined) checkText(sourceId, "sourceId");
  if (format !== undefined) checkOneOf(format, "format", Object.keys(formats));
  if (delimiter !== undefined) checkText(delimiter, "delimiter");
  if (repeat !== undefined) checkCount(repeat, "repeat", [1, 1_000_000]);
  const pollMs = pollInterval === undefined ? undefined : parseDuration(pollInterval, "pollInterval");
  const file = {
    path,
    pattern: pattern ?? "",
    pollInterval: pollMs === undefined ? undefined : toWireDuration(pollMs),
    sourceId: sourceId ?? "",
    repeat: repeat ?? 1,
    format: formats[format ?? "lines"],
    delimiter: delimiter ?? "",
  };
  return addSource(channel, stream, { $case: "file", value: file });
}
