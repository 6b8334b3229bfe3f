import { type SourceReport, SourceServiceService, SourceState } from "@millrace/proto/source";
import type { Channel } from "../rpc/channel.js";
import { checkCount, checkKeys, checkText } from "../units/checks.js";
import { type Duration, parseDuration, toWireDuration } from "../units/duration.js";

export interface FileSourceOptions {
  /** Absolute directory where ingestion runs, below one of its roots. */
  path: string;
  /** Glob of file names. Default `*.jsonl`. */
  pattern?: string;
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

export interface SourceStatus {
  /**
   * `starting`: ingestion has not reported yet. `waiting`: what it depends on is full or away, `lastError`
   * says what, and it goes on by itself.
   */
  state: "starting" | "running" | "waiting" | "paused" | "failed";
  files: number;
  /** Bytes of the source that are not read yet. */
  lagBytes: number;
  lastError: string | undefined;
  /** When ingestion said so; undefined before the first report. */
  time: Date | undefined;
}

export interface SourceHandle {
  /** Follows from the stream and the settings: the same source again has the same id. */
  readonly id: string;
  status(): Promise<SourceStatus>;
  remove(): Promise<void>;
}

const keys = ["path", "pattern", "pollInterval", "sourceId", "repeat"] as const;

export async function addFileSource(
  channel: Channel,
  stream: string,
  options: FileSourceOptions,
): Promise<SourceHandle> {
  checkKeys(options, keys, "");
  const { path, pattern, pollInterval, sourceId, repeat } = options;
  checkText(path, "path");
  if (pattern !== undefined) checkText(pattern, "pattern");
  if (sourceId !== undefined) checkText(sourceId, "sourceId");
  if (repeat !== undefined) checkCount(repeat, "repeat", [1, 1_000_000]);
  const pollMs = pollInterval === undefined ? undefined : parseDuration(pollInterval, "pollInterval");
  const file = {
    path,
    pattern: pattern ?? "",
    pollInterval: pollMs === undefined ? undefined : toWireDuration(pollMs),
    sourceId: sourceId ?? "",
    repeat: repeat ?? 1,
  };
  const request = { source: { id: "", stream, kind: { $case: "file" as const, value: file } } };
  const attempted = `add a file source to ${stream}`;
  const { source } = await channel.unary(SourceServiceService.addSource, request, { attempted });
  return sourceHandle(channel, stream, source?.id ?? "");
}

function sourceHandle(channel: Channel, stream: string, id: string): SourceHandle {
  return {
    id,
    async status() {
      const attempted = `get the status of source ${id}`;
      const { reports } = await channel.unary(SourceServiceService.listSources, { stream }, { attempted });
      return toStatus(reports.find((report) => report.id === id));
    },
    async remove() {
      await channel.unary(
        SourceServiceService.removeSource,
        { stream, id },
        { attempted: `remove source ${id}` },
      );
    },
  };
}

function toStatus(report: SourceReport | undefined): SourceStatus {
  if (report === undefined) {
    return { state: "starting", files: 0, lagBytes: 0, lastError: undefined, time: undefined };
  }
  return {
    state: toState(report.state),
    files: report.files,
    lagBytes: report.lagBytes,
    lastError: report.lastError === "" ? undefined : report.lastError,
    time: new Date(report.timeMs),
  };
}

function toState(state: SourceState): SourceStatus["state"] {
  switch (state) {
    case SourceState.SOURCE_STATE_RUNNING:
      return "running";
    case SourceState.SOURCE_STATE_PAUSED:
      return "paused";
    case SourceState.SOURCE_STATE_WAITING:
      return "waiting";
    case SourceState.SOURCE_STATE_FAILED:
      return "failed";
    default:
      return "starting";
  }
}
