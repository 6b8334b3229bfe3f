import { createIdWindow, type IdWindow, splitIds } from "./id-window.js";
import type { Disk } from "./spool/disk.js";
import { parseJournal } from "./spool/journal.js";
import type { Layout } from "./spool/layout.js";

/**
 * How long ids that clients gave are remembered across a restart; a client tries again for seconds, not
 * minutes.
 */
const keepMs = 10 * 60 * 1000;
/** A part each 150 ms for ten minutes: 64 MiB parts at 400 MB/s. */
const journalsMax = 4096;

interface DoneJournal {
  number: number;
  closedMs: number;
  hasKeys: boolean;
}

/**
 * Journals of finished parts: they hold the ids that clients gave, and the newest one the last number given
 * out.
 */
export interface DoneJournals {
  add(journal: DoneJournal): void;
  /** Removes what is of no use any more. */
  prune(): Promise<void>;
}

/** Reads the ids of the last ten minutes, at most `keyedIdsMax`, the newest winning. */
export async function openDoneJournals(
  { disk, layout, now }: { disk: Disk; layout: Layout; now: () => number },
  keyedIdsMax: number,
): Promise<{ done: DoneJournals; seen: IdWindow }> {
  const journals: DoneJournal[] = [];
  for (const name of await disk.readdir(layout.doneDir)) {
    const file = layout.parse(name);
    if (file?.kind === "done")
      journals.push({ number: file.number, closedMs: file.closedMs, hasKeys: false });
  }
  journals.sort((left, right) => left.number - right.number);
  const newestFirst: string[][] = [];
  let count = 0;
  for (const journal of journals.toReversed()) {
    if (count >= keyedIdsMax || now() - journal.closedMs > keepMs) break;
    const bytes = await disk.readFile(layout.done(journal.number, journal.closedMs));
    const ids = parseJournal(bytes).entries.flatMap(({ keyed }) => splitIds(keyed));
    journal.hasKeys = ids.length > 0;
    newestFirst.push(ids);
    count += ids.length;
  }
  const seen = createIdWindow(keyedIdsMax);
  for (const ids of newestFirst.toReversed()) seen.addAll(ids);
  const done = createDoneJournals({ disk, layout, now }, journals);
  await done.prune();
  return { done, seen };
}

function createDoneJournals(
  { disk, layout, now }: { disk: Disk; layout: Layout; now: () => number },
  journals: DoneJournal[],
): DoneJournals {
  return {
    add: (journal) => {
      journals.push(journal);
    },
    prune: async () => {
      const newest = journals.length - 1;
      const isKept = ({ closedMs, hasKeys }: DoneJournal, index: number): boolean =>
        index === newest || (hasKeys && now() - closedMs <= keepMs && newest - index < journalsMax);
      const kept = journals.filter(isKept);
      const gone = journals.filter((journal, index) => !isKept(journal, index));
      for (const journal of gone) await disk.unlink(layout.done(journal.number, journal.closedMs));
      journals.splice(0, journals.length, ...kept);
    },
  };
}
