import assert from "node:assert/strict";
import test from "node:test";
import { createIntervalSet, type Interval, type IntervalSet } from "@millrace/envelope";
import { createMemoryDisk, createRandom, type MemoryDisk } from "@millrace/segments/testing";
import fc from "fast-check";
import { type AcceptJournal, openAcceptJournal } from "./accept-journal.js";
import { type Accepted, acceptLine, fieldsOf, type LineFormat } from "./accept-line.js";
import type { JournalDisk } from "./journal-disk.js";

/*
 * The journal as buffer uses it, with one source whose positions are its messages, on a disk that fails. A
 * batch counts as on the bus when it is offered; LEDGER is an interval set that is written now and then.
 */
const dir = "/journal";
const of = {
  tenant: "default",
  stream: "orders",
  createdMs: 1_764_000_000_000,
  source: "0123456789abcdef0123456789abcdef",
  bytes: 500,
};
const pathOf = (half: number): string => `${dir}/accepted-${half}.log`;

type Step =
  | { do: "offer"; sizes: number[] }
  | { do: "write ledger" }
  | { do: "rotate"; isFlushed: boolean }
  | { do: "stop" }
  | { do: "kill" }
  | { do: "cut"; half: number; at: number }
  | { do: "power cut"; seed: number }
  | { do: "fault"; fault: "EIO" | "ENOSPC" | "short" | "crash"; after: number }
  | { do: "flip"; half: number; at: number; bit: number };

const nat = fc.nat(10_000);
const half = fc.nat(1);
const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 });
const faults = fc.constantFrom("EIO", "ENOSPC", "short", "crash" as const);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant("offer" as const), sizes }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("write ledger" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("rotate" as const), isFlushed: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("stop" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("kill" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("cut" as const), half, at: nat }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("power cut" as const), seed: nat }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("fault" as const),
      fault: faults as fc.Arbitrary<"EIO" | "ENOSPC" | "short" | "crash">,
      after: fc.integer({ min: 1, max: 6 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("flip" as const), half, at: nat, bit: fc.nat(7) }) },
);

/** How an implementation that forgets something is told: each must be caught. */
interface Mutant {
  disk?(disk: MemoryDisk): JournalDisk;
  lines?: LineFormat;
}

interface Known {
  settled: IntervalSet;
  /** Messages that were counted. */
  done: number;
}

const copyOf = ({ settled, done }: Known): Known => ({
  settled: createIntervalSet(settled.intervals()),
  done,
});
const totalOf = (pieces: readonly Interval[]): number =>
  pieces.reduce((total, { from, to }) => total + to - from, 0);

/** As the acceptor counts a line. */
function count(known: Known, { from, to, count: fresh }: Accepted): void {
  if (known.settled.missing({ from, to }).length === 0) return;
  known.settled.add({ from, to });
  known.done += fresh;
}

/** What the disk holds of the lines that a change of some bytes of a file can touch. */
function linesAt(disk: MemoryDisk, path: string, from: number, to: number): Accepted[] {
  let end = 0;
  const touched: Accepted[] = [];
  for (const line of disk.contents(path).toString("latin1").split("\n")) {
    const start = end;
    end += line.length + 1;
    // The newline before it may be what is changed.
    if (start - 1 >= to || end <= from) continue;
    const accepted = acceptLine.parse(line);
    if (accepted !== undefined) touched.push(accepted);
  }
  return touched;
}

async function run(steps: readonly Step[], mutant: Mutant = {}): Promise<void> {
  const disk = createMemoryDisk();
  const options = { dir, disk: mutant.disk?.(disk) ?? disk, lines: mutant.lines ?? acceptLine };
  const onBus = createIntervalSet();
  /** Of lines that something altered since the last start. */
  const lost = createIntervalSet();
  let wasAltered = false;
  let known: Known = { settled: createIntervalSet(), done: 0 };
  let ledger = copyOf(known);

  const open = async (): Promise<AcceptJournal> => {
    // A start that fails is tried again, as by a supervisor.
    const journal = await openAcceptJournal(options).catch(() => {
      disk.restart();
      return openAcceptJournal(options);
    });
    const answered = known.settled;
    known = copyOf(ledger);
    for (const accepted of journal.replayed) count(known, accepted);
    for (const piece of answered.intervals()) {
      const gone = createIntervalSet(known.settled.missing(piece));
      for (const known of lost.intervals()) gone.remove(known);
      assert.deepEqual(gone.intervals(), [], "answered, and forgotten though nothing altered its line");
    }
    for (const piece of known.settled.intervals())
      assert.deepEqual(onBus.missing(piece), [], "counts as accepted, and nobody sent it");
    // Where a line was altered that a later one overlapped, what it alone had counted is missing.
    const [done, total] = [known.done, known.settled.total()];
    wasAltered ||= lost.total() > 0;
    assert.ok(wasAltered ? done <= total : done === total, `${done} counted of ${total} messages`);
    lost.remove({ from: 0, to: Number.MAX_SAFE_INTEGER });
    return journal;
  };
  let journal = await open();
  await disk.fsyncDir(dir);

  const offer = async (batchSizes: readonly number[]): Promise<void> => {
    const [first] = known.settled.intervals();
    let from = first?.from === 0 ? first.to : 0;
    const appends = batchSizes.map((size) => {
      const interval = { from, to: from + size };
      from += size;
      const fresh = totalOf(known.settled.missing(interval));
      if (fresh === 0) return Promise.resolve();
      onBus.add(interval);
      const accepted = { ...of, ...interval, count: fresh };
      return journal.append(accepted).then(() => count(known, accepted));
    });
    await Promise.allSettled(appends);
  };
  const restart = async (): Promise<void> => {
    disk.restart();
    journal = await open();
  };
  for (const next of steps) {
    if (next.do === "offer") await offer(next.sizes);
    else if (next.do === "write ledger") ledger = copyOf(known);
    else if (next.do === "rotate") {
      const flush = async (): Promise<void> => {
        if (!next.isFlushed) throw new Error("the broker is away");
        ledger = copyOf(known);
      };
      await journal.rotate(flush).catch(() => undefined);
    } else if (next.do === "fault") disk.breakAt(disk.calls() + next.after, next.fault);
    else if (next.do === "flip") {
      const bytes = disk.contents(pathOf(next.half));
      if (bytes.length === 0) continue;
      const at = next.at % bytes.length;
      for (const { from, to } of linesAt(disk, pathOf(next.half), at, at + 1)) lost.add({ from, to });
      bytes.writeUInt8((bytes[at] ?? 0) ^ (1 << next.bit), at);
      await restart();
    } else if (next.do === "cut") {
      disk.restart();
      const { length } = disk.contents(pathOf(next.half));
      const at = next.at % (length + 1);
      for (const { from, to } of linesAt(disk, pathOf(next.half), at, length)) lost.add({ from, to });
      await (await disk.open(pathOf(next.half), "existing")).truncate(at);
      await restart();
    } else if (next.do === "power cut") {
      disk.powerCut(createRandom(next.seed));
      lost.addAll(known.settled.intervals());
      await restart();
    } else {
      if (next.do === "stop") await journal.close().catch(() => undefined);
      await restart();
    }
  }
  await restart();
}

test("what was answered counts after a restart, and nothing that nobody sent, whatever fails", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 50 }), (steps) => run(steps)),
    { numRuns: 1500, includeErrorInReport: true },
  );
});

test("a journal that writes behind half a line is found out", async () => {
  const behind = (disk: MemoryDisk): JournalDisk => ({
    ...disk,
    open: async (path, mode) => {
      const file = await disk.open(path, mode);
      const writev = async (buffers: readonly Uint8Array[]) => file.writev(buffers, await file.size());
      return { ...file, writev, truncate: async () => undefined };
    },
  });
  const steps: Step[] = [
    { do: "fault", fault: "ENOSPC", after: 1 },
    { do: "offer", sizes: [5] },
    { do: "offer", sizes: [5] },
    { do: "kill" },
  ];
  await assert.rejects(run(steps, { disk: behind }), /answered, and forgotten/);
});

test("a journal that answers before it writes is found out", async () => {
  const forgetful = (disk: MemoryDisk): JournalDisk => ({
    ...disk,
    open: async (path, mode) => ({
      ...(await disk.open(path, mode)),
      writev: async (buffers) => totalLength(buffers),
    }),
  });
  const steps: Step[] = [{ do: "offer", sizes: [5] }, { do: "kill" }];
  await assert.rejects(run(steps, { disk: forgetful }), /answered, and forgotten/);
});

test("a journal that does not look at checksums is found out", async () => {
  const lines = { ...acceptLine, parse: (line: string) => fieldsOf(line.slice(9)) };
  const { length } = acceptLine.format({ ...of, number: 1, from: 0, to: 5, count: 5 });
  const toAt = length - "5 5 500\n".length;
  // 5 becomes 7.
  const steps: Step[] = [
    { do: "offer", sizes: [5] },
    { do: "flip", half: 0, at: toAt, bit: 1 },
  ];
  await run(steps);
  await assert.rejects(run(steps, { lines }), /nobody sent it/);
});

const totalLength = (buffers: readonly Uint8Array[]): number =>
  buffers.reduce((total, { byteLength }) => total + byteLength, 0);
