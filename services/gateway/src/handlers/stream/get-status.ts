import { type ReadingStage, readingStages } from "@millrace/messaging";
import type {
  BufferUsage,
  GetStreamStatusRequest,
  GetStreamStatusResponse,
  Stream,
} from "@millrace/proto/stream";
import type { SourceReport } from "@millrace/proto/source";
import type { ReadingResponse } from "@millrace/proto/work";
import {
  conserve,
  type LedgerEntry,
  sinkCounts,
  sinksOf,
  sourceStatuses,
} from "../../stream/conservation.js";
import { type GroupStatusParts, groupsOf } from "../group/manage-groups.js";
import { describeDataPath } from "../../stream/data-path.js";
import { type FindStream, requireStream } from "../../stream/stream-name.js";

export interface StatusParts extends GroupStatusParts {
  find: FindStream;
  readLedger(of: { tenant: string; stream: string }): Promise<LedgerEntry[]>;
  readReports(of: { tenant: string; stream: string }): Promise<SourceReport[]>;
  /** Batches that the broker stores for each stage. */
  countBatches(of: { tenant: string; stream: string }): Promise<{ stage: string; batches: number }[]>;
  /** What buffer says that the stream holds; undefined where it does not answer in time. */
  bufferUsage(of: { tenant: string; stream: string }): Promise<BufferUsage | undefined>;
  durability: string;
  /** How a stage reads the stream's bodies; undefined where it does not answer in time. */
  askReading(
    stage: ReadingStage,
    of: { tenant: string; stream: string },
  ): Promise<ReadingResponse | undefined>;
  sleep(ms: number): Promise<void>;
}

/** The LEDGER is written up to 100 ms late, so a sum that does not add up is read again. */
const rereads = { max: 3, afterMs: 150 };

export const getStatus =
  (parts: StatusParts) =>
  async ({ name }: GetStreamStatusRequest): Promise<GetStreamStatusResponse> => {
    const stream = await requireStream(parts.find, { tenant: parts.tenant, name }, "name");
    for (let reread = 0; ; reread++) {
      const status = await readStatus(parts, stream);
      const isEmpty = status.stages.every(({ batches }) => batches === 0);
      if (status.conservation?.balanced === true || !isEmpty || reread >= rereads.max) return status;
      await parts.sleep(rereads.afterMs);
    }
  };

async function readStatus(parts: StatusParts, stream: Stream): Promise<GetStreamStatusResponse> {
  const of = { tenant: parts.tenant, stream: stream.name };
  const sinks = sinksOf(stream.outputs);
  // The counts before the LEDGER: what leaves the bus in between is in the entries by then, not in neither.
  const stages = await parts.countBatches(of);
  // Nothing of an exempt stream passes privacy.
  const readers = readingStages.filter((stage) => stage !== "privacy" || stream.privacy?.exempt !== true);
  const [entries, reports, readings, buffer, groups] = await Promise.all([
    parts.readLedger(of),
    parts.readReports(of),
    Promise.all(readers.map(async (stage) => ({ stage, reading: await parts.askReading(stage, of) }))),
    parts.bufferUsage(of),
    groupsOf(parts, stream.name),
  ]);
  const stored = stages.reduce((total, { batches }) => total + batches, 0);
  const failing = reports
    .filter(({ lastError }) => lastError !== "")
    .map(({ id, lastError }) => ({ source: id, position: 0, messages: 0, lastError }));
  return {
    stream,
    conservation: conserve(entries, sinks, stored),
    stages,
    sources: [...sourceStatuses(entries), ...failing],
    sinks: sinkCounts(entries, sinks),
    durability: parts.durability,
    dataPath: describeDataPath(stream, readings),
    buffer,
    groups,
  };
}
