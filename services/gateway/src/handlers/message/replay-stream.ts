import { CodedError, present } from "@millrace/errors";
import type { StreamStore, Tailed } from "@millrace/messaging";
import { type ReplayRequest, type ReplayResponse, ReplaySource } from "@millrace/proto/replay";
import type { Stream } from "@millrace/proto/stream";
import { epochSource } from "../../publish/epochs.js";
import { checkActive } from "../../publish/publisher.js";
import { appendReplayed, type AppendReplayedParts } from "../../replay/append-replayed.js";
import { chooseSource } from "../../replay/choose-source.js";
import { isWithin, rateOf, readBounds, type ReplayBounds } from "../../replay/replay-bounds.js";
import { replayBatches } from "../../replay/replay-batches.js";
import type { ReplayedRow } from "../../replay/replayed-row.js";
import type { StoredParts } from "../../replay/stored-parts.js";
import { readResults } from "../../replay/stored-results.js";
import { createThrottle } from "../../replay/throttle.js";
import type { ResponseWriter } from "../../rpc/server-stream.js";
import { type FindStream, requireStream } from "../../stream/stream-name.js";

export interface ReplayParts extends AppendReplayedParts {
  tenant: string;
  /** Asked itself, and not the view of it, which a pause or an end of the stream reaches a moment later. */
  store: StreamStore;
  /** Where output's files can be read; undefined where they can't. */
  storage: StoredParts | undefined;
  resultBounds(): Promise<{ first: number; last: number }>;
  countResults(of: { tenant: string; stream: string }): Promise<number>;
  tailResults(
    of: { tenant: string; stream: string },
    from: number,
    signal: AbortSignal,
  ): AsyncGenerator<Tailed>;
  monotonic(): number;
}

/** Progress is told at most so often. */
const tellMs = 500;

export const replayStream =
  (parts: ReplayParts) =>
  async (request: ReplayRequest, responses: ResponseWriter<ReplayResponse>): Promise<void> => {
    const { tenant, monotonic, store } = parts;
    const find: FindStream = async (of, name) => (await store.get(of, name))?.stream;
    const from = await requireStream(find, { tenant, name: request.stream });
    const into = await requireStream(find, { tenant, name: request.into }, "into");
    if (from.name === into.name) {
      const remedy = "Name another stream; its messages would meet themselves.";
      throw new CodedError("invalid_argument", "replay: a stream cannot go into itself", {
        field: "into",
        remedy,
      });
    }
    checkActive(into);
    const bounds = readBounds(request, (name) => sourceKeyOf(tenant, from, name));
    const source = await chooseSource({
      asked: request.source,
      stream: from,
      bounds,
      hasStorage: parts.storage !== undefined,
      oldestResultMs: () => oldestResultMs(parts, from),
    });
    const { signal } = responses;
    const rows =
      source === ReplaySource.REPLAY_SOURCE_STORAGE
        ? present(parts.storage, "the storage").read({ tenant, stream: from.name }, bounds, signal)
        : results(parts, from, signal);
    const throttle = createThrottle({ ...rateOf(request), now: monotonic, sleep: parts.sleep });
    const told = { source, messages: 0, recognised: 0, contentBytes: 0, done: false };
    await responses.write(told);
    let toldMs = monotonic();
    for await (const { batch, messages, bytes } of replayBatches(wanted(rows, bounds), {
      tenant,
      from,
      into,
    })) {
      await throttle.pass(messages, bytes, signal);
      if (signal.aborted) return;
      const isRepeated = await appendReplayed(parts, batch, signal);
      told.messages += messages;
      told.contentBytes += bytes;
      if (isRepeated) told.recognised += messages;
      if (monotonic() - toldMs < tellMs) continue;
      await responses.write({ ...told });
      toldMs = monotonic();
    }
    if (!signal.aborted) await responses.write({ ...told, done: true });
  };

/** Clients know a source by its key, or by the name of their epoch. */
function sourceKeyOf(tenant: string, { name, createdMs }: Stream, source: string): string {
  if (/^[0-9a-f]{32}$/.test(source)) return source;
  return epochSource({ tenant, stream: name }, createdMs, source);
}

async function* wanted(rows: AsyncIterable<ReplayedRow>, bounds: ReplayBounds): AsyncGenerator<ReplayedRow> {
  for await (const row of rows) if (isWithin(bounds, row)) yield row;
}

function results(parts: ReplayParts, { name }: Stream, signal: AbortSignal): AsyncGenerator<ReplayedRow> {
  const of = { tenant: parts.tenant, stream: name };
  return readResults({
    bounds: parts.resultBounds,
    count: () => parts.countResults(of),
    tail: (from, reading) => parts.tailResults(of, from, reading),
    sleep: parts.sleep,
    signal,
  });
}

async function oldestResultMs(parts: ReplayParts, stream: Stream): Promise<number | undefined> {
  const reading = new AbortController();
  for await (const row of results(parts, stream, reading.signal)) {
    reading.abort();
    return row.eventTimeMs;
  }
  return undefined;
}
