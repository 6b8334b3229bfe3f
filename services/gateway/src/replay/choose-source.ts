import { CodedError } from "@millrace/errors";
import { ReplaySource } from "@millrace/proto/replay";
import type { Stream } from "@millrace/proto/stream";
import type { ReplayBounds } from "./replay-bounds.js";

export interface Choice {
  asked: ReplaySource;
  stream: Stream;
  bounds: ReplayBounds;
  /** Whether output's files can be read here. */
  hasStorage: boolean;
  /** Event time of the oldest result that is kept. */
  oldestResultMs(): Promise<number | undefined>;
}

const { REPLAY_SOURCE_RESULTS: results, REPLAY_SOURCE_STORAGE: storage } = ReplaySource;

/**
 * What still has the interval: results where they reach back to its begin, for they are there at once; else
 * files, which are kept for longer. Errors: `failed_precondition`.
 */
export async function chooseSource(choice: Choice): Promise<ReplaySource> {
  const { asked, stream, bounds } = choice;
  const hasResults = stream.outputs?.results !== undefined;
  const hasFiles = stream.outputs?.storage !== undefined && choice.hasStorage;
  const isAsked = asked !== ReplaySource.REPLAY_SOURCE_UNSPECIFIED;
  if (isAsked ? !(asked === results ? hasResults : hasFiles) : !hasResults && !hasFiles) {
    throw unreadable(stream, asked);
  }
  if (isAsked) return asked;
  if (!hasFiles) return results;
  if (!hasResults || bounds.kind !== "time") return storage;
  const oldestMs = await choice.oldestResultMs();
  return oldestMs !== undefined && oldestMs <= bounds.from ? results : storage;
}

function unreadable({ name }: Stream, asked: ReplaySource): CodedError {
  const what = asked === results ? "results" : "stored files that can be read here";
  return new CodedError("failed_precondition", `replay: stream ${name} has no ${what}`, {
    field: "source",
    remedy: "Declare outputs.results or outputs.storage, and set replay.storageDir in gateway's config.",
  });
}
