import type { Interval, OpenBatch } from "@millrace/envelope";
import { openDoneJournals } from "./done-journals.js";
import type { FindingName } from "./encode-records.js";
import { splitIds } from "./id-window.js";
import { openRetainedParts } from "./retained-parts.js";
import { createSettledSources, type LoadSettled } from "./settled-sources.js";
import { commit, type OpenSink, rollback, rollIfDue, spoolsOf, stage, type Staged } from "./sink-work.js";
import { committedByOthers } from "./spool/others.js";
import { type Disk, nodeDisk, sharingDirectorySyncs } from "./spool/disk.js";
import { createLayout } from "./spool/layout.js";
import type { Part, StoredEntry } from "./spool/part.js";
import { type Recovery, recoverSpools, type SettledElsewhere } from "./spool/recover.js";
import { createSerial } from "./spool/serial.js";

export interface StorageSinkOptions {
  root: string;
  tenant: string;
  stream: string;
  /** Names this process's files: stable over restarts, and no other process may have it. */
  writer: string;
  /** Parquet is spooled as records and written as a part is finished; `rollBytes` counts the spool. */
  format: "lines" | "records" | "parquet";
  loadSettled: LoadSettled;
  settledElsewhere: SettledElsewhere;
  findingName: FindingName;
  now: () => number;
  /** A part is finished at this size, or at this age. Defaults 64 MiB and 10 s. */
  rollBytes?: number;
  rollAgeMs?: number;
  /** Bytes of visible parts at most; older ones are taken back and written anew. Default 0: all stay. */
  retainBytes?: number;
  /** Ids given by clients that are remembered. Default 100,000: about 10 MB. */
  keyedIdsMax?: number;
  /** Sources whose settled positions are held. Default 10,000. */
  sourcesMax?: number;
  disk?: Disk;
}

/**
 * Continuous storage of one stream. The caller drives it:
 *
 *   stage(batch)…  →  commit()  →  write the LEDGER  →  ack  →  rollIfDue()
 *
 * one `commit` at a time and one `rollIfDue` at a time, the latter also while the next commit runs; `stage`
 * at any time.
 *
 * Nothing is stored before `commit` resolves, and a batch must not be acked before the ledger has it. Where
 * writing the ledger shows that another writer was first, `discard` those positions before `rollIfDue`.
 * Errors: `resource_exhausted` means wait and call again (after a failed `stage`, nothing of that batch is
 * staged); `internal` means that the disk failed: nothing may be acked any more, the service has to exit.
 */
export interface StorageSink {
  /** What a crash had left: its entries have to be in the ledger before the first `rollIfDue`. */
  readonly recovery: Recovery;
  /** `verify` throws where the body changed while it was read; nothing of it is staged then. */
  stage(open: OpenBatch, verify?: () => void): Promise<Staged>;
  /**
   * Counts as settled what other writers have committed of the source and not published: theirs may be gone
   * before they told the ledger. To be called before a batch is staged that somebody may have had before.
   */
  heedOthers(source: string): Promise<void>;
  /** Positions that were settled without being stored count as new. */
  reopen(source: string, interval: Interval): Promise<void>;
  commit(): Promise<StoredEntry[]>;
  rollback(): Promise<void>;
  discard(source: string, intervals: readonly Interval[]): Promise<void>;
  /** Calling it says that the ledger has everything that `commit` answered. */
  rollIfDue(): Promise<Part[]>;
  /** As `rollIfDue`, with everything due: nobody stores here any more, and what is stored has to be seen. */
  rollAll(): Promise<Part[]>;
  /** Staged and not committed. */
  pendingBytes(): number;
  /** Leaves what isn't finished to the next start. */
  close(): Promise<void>;
}

/** Recovers what this writer left, then stores on. Errors: those of `createLayout` and `recoverSpools`. */
export async function openStorageSink(options: StorageSinkOptions): Promise<StorageSink> {
  const { format, now, keyedIdsMax = 100_000, sourcesMax = 10_000 } = options;
  const { rollBytes = 64 * 1024 * 1024, rollAgeMs = 10_000 } = options;
  const disk = sharingDirectorySyncs(options.disk ?? nodeDisk);
  const context = { disk, layout: createLayout(options), now };
  const recovery = await recoverSpools({ ...context, settledElsewhere: options.settledElsewhere });
  const { done, seen } = await openDoneJournals(context, keyedIdsMax);
  seen.addAll(recovery.keyed.flatMap(splitIds));
  const closing = [...recovery.spools];
  const sink: OpenSink = {
    context,
    settings: { format, rollBytes, rollAgeMs, findingName: options.findingName },
    sources: createSettledSources(options.loadSettled, { sourcesMax, recovered: recovery.entries }),
    seen,
    done,
    retained: await openRetainedParts(context, options.retainBytes ?? 0),
    inTurn: createSerial(),
    current: closing.at(-1)?.header.format === format ? closing.pop() : undefined,
    next: undefined,
    closing,
    nextNumber: recovery.nextNumber,
    unreported: [],
  };
  return {
    recovery,
    stage: (open, verify) => sink.inTurn(() => stage(sink, open, verify)),
    heedOthers: async (source) => {
      const others = await committedByOthers(context, source);
      await sink.inTurn(async () => (await sink.sources.of(source)).addAll(others));
    },
    reopen: (source, interval) => sink.inTurn(async () => (await sink.sources.of(source)).remove(interval)),
    commit: () => commit(sink),
    rollback: () => sink.inTurn(() => rollback(sink)),
    discard: async (source, intervals) => {
      for (const spool of spoolsOf(sink)) await spool.discard(source, intervals);
    },
    rollIfDue: () => rollIfDue(sink),
    rollAll: () => rollIfDue(sink, true),
    pendingBytes: () => spoolsOf(sink).reduce((sum, spool) => sum + spool.pendingBytes(), 0),
    close: () =>
      sink.inTurn(async () => {
        for (const spool of spoolsOf(sink)) await spool.close();
        await sink.next?.then(
          (spool) => spool.close(),
          () => undefined,
        );
      }),
  };
}
