import assert from "node:assert/strict";
import { copyFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { countStored, subjects } from "@millrace/messaging";
import {
  type Arrived,
  findAltered,
  findBehind,
  findDuplicated,
  findLost,
  findOutOfOrder,
  type History as Delivery,
  type Lag,
  type Sent,
} from "@millrace/testkit";
import type { StreamStatus } from "@millrace/sdk";
import { storedLines } from "../../system/observe.js";
import type { FaultSystem } from "../system/fault-system.js";
import { whenBusy } from "../system/bounds.js";
import { idOf, type Workload } from "./workload.js";

/** What became of a run: figures for the report. */
export interface Verdict {
  stream: string;
  acknowledged: number;
  unknown: number;
  refused: number;
  stored: number;
  /** From the end of fault and load until nothing was in flight. */
  drainedMs: number;
  /** The longest time without a look, as when the gateway did not answer. */
  unseenMs: number;
}

export interface JudgeOptions {
  system: FaultSystem;
  workload: Workload;
  /** I5: nothing is in flight any more so long after the fault is over and the load is done. */
  withinMs: number;
  /** When the fault was over, by `performance.now`; absent: before the load was done. */
  since?: number;
  /** A power cut may take counts that were not synced, never messages: only these are judged then. */
  countsLost?: boolean;
  /** Others run beside it, so that what all of them hold is judged once, by the test. */
  isBeside?: boolean;
}

const pollMs = 100;
/** Beyond `withinMs`, so that what is merely late is told from what is lost. */
const graceMs = 60_000;
/** The SDK gives up after a minute without an acknowledgement. */
const outcomeWithinMs = 90_000;

/** Waits until the run has come to rest and asserts what is promised; then tests the judges on it. */
export async function judge(options: JudgeOptions): Promise<Verdict> {
  const { system, workload, countsLost = false, isBeside = false } = options;
  const withinMs = whenBusy(options.withinMs);
  const { stream, history } = workload;
  const overAt = Math.max(await ended(workload), options.since ?? 0);
  const lags = await watchLag(system, workload, { overAt, untilMs: withinMs + graceMs, countsLost });
  const sent = await history.read();
  const stored = await readStored(system, stream);
  const outputs: [string, Arrived[]][] = [["storage", stored]];
  if (workload.processor.settings.outputs.results !== undefined) {
    outputs.push(["results", await readResults(workload, new Set(stored.map(({ id }) => id)).size)]);
  }
  const found = {
    stream,
    delivery: Object.fromEntries(
      outputs.map(([output, arrived]) => [output, faultsOf({ sent, arrived: judged(output, arrived) })]),
    ),
    late: findBehind(lags, withinMs),
    counts: countsLost ? { dead: (await countsOf(workload)).dead } : await countsOf(workload),
    indexed: await indexedOf(system, workload),
  };
  const distinct = new Set(stored.map(({ id }) => id)).size;
  const expected = {
    stream,
    delivery: Object.fromEntries(outputs.map(([output]) => [output, noFaults])),
    late: [],
    counts: countsLost ? { dead: 0 } : { in: distinct, out: distinct, dead: 0, inFlight: 0, balanced: true },
    indexed: workload.processor.settings.outputs.search ? distinct : 0,
  };
  if (!isDeepStrictEqual(found, expected)) {
    assert.deepEqual(found, expected, `the history of this run is kept in ${await keep(workload)}`);
  }
  for (const [output, arrived] of outputs) assertJudgesSee(sent, judged(output, arrived));
  if (isBeside) workload.held.stop();
  else await workload.held.assertBounded();
  return {
    stream,
    acknowledged: history.count("ok"),
    unknown: history.count("unknown"),
    refused: history.count("fail"),
    stored: stored.length,
    drainedMs: Math.round(lags.at(-1)?.atMs ?? 0),
    unseenMs: Math.round(Math.max(0, ...lags.map(({ atMs }, at) => atMs - (lags[at - 1]?.atMs ?? atMs)))),
  };
}

/**
 * A gateway that was started anew does not know the keys of its former life: their repeats travel, and
 * results have no memory of keys, as storage has. A subscriber tells them by their message id.
 */
function judged(output: string, arrived: readonly Arrived[]): readonly Arrived[] {
  if (output !== "results") return arrived;
  const seen = new Set<string>();
  return arrived.filter(({ id, content }) => {
    const isRepeat = id.startsWith("keyed ") && seen.has(content);
    seen.add(content);
    return !isRepeat;
  });
}

export const noFaults = { lost: [] as string[], altered: [] as string[], duplicated: [] as string[] };

export function faultsOf(delivery: Delivery): typeof noFaults {
  return {
    lost: findLost(delivery),
    altered: findAltered(delivery),
    duplicated: findDuplicated(delivery),
  };
}

/** Ends when nothing is in flight and everything acknowledged has arrived, or at `untilMs`. */
async function watchLag(
  system: FaultSystem,
  { stream, processor, history }: Workload,
  { overAt, untilMs, countsLost }: { overAt: number; untilMs: number; countsLost: boolean },
): Promise<Lag[]> {
  const sent = await history.read();
  const must = sent.filter(({ acknowledged }) => acknowledged).length;
  const lags: Lag[] = [];
  for (;;) {
    const counts = (await processor.status().catch(() => undefined))?.conservation;
    // What is in no stream of the bus, since the writer of its segment is down, is missing from the sum.
    let messages = counts === undefined ? must : Math.max(must, counts.in) - settledOf(counts);
    if (countsLost) messages = 0;
    // What nobody acknowledged may have come instead of what somebody did.
    if (messages === 0) messages = findLost({ sent, arrived: await readStored(system, stream) }).length;
    const atMs = performance.now() - overAt;
    lags.push({ atMs, messages });
    if (messages === 0 || atMs > untilMs) return lags;
    await sleep(pollMs);
  }
}

async function readStored(system: FaultSystem, stream: string): Promise<Arrived[]> {
  return (await storedLines(system, stream)).map((text) => ({ id: idOf(text), content: text }));
}

/** Every call has its outcome within a minute and a half of the last fault, or a client is stuck. */
async function ended(workload: Workload): Promise<number> {
  const { done, stream, history } = workload;
  const waited = new AbortController();
  const overdue = sleep(outcomeWithinMs, undefined, { signal: waited.signal }).then(
    async (): Promise<never> => {
      const sources = new Map<string, number>();
      for (const { source } of history.open()) sources.set(source, (sources.get(source) ?? 0) + 1);
      const open = [...sources].map(([source, count]) => `${count} of ${source}`).join(", ");
      throw new Error(`${stream}: calls have no outcome: ${open}; history: ${await keep(workload)}`);
    },
  );
  overdue.catch(() => undefined);
  try {
    return await Promise.race([done, overdue]);
  } finally {
    waited.abort();
  }
}

/** The system's directory goes when the test ends. */
async function keep({ history, stream }: Workload): Promise<string> {
  const kept = join(tmpdir(), `millrace-history-${stream}.jsonl`);
  await copyFile(history.path, kept);
  return kept;
}

function settledOf({ out, dead, dropped }: StreamStatus["conservation"]): number {
  return out + dead + dropped;
}

async function countsOf({ processor }: Workload) {
  const { in: taken, out, dead, dropped, inFlight, balanced } = (await processor.status()).conservation;
  // A key that came twice is dropped by rule: it was taken in twice and stored once.
  return { in: taken - dropped, out, dead, inFlight, balanced };
}

async function indexedOf(system: FaultSystem, { stream, processor }: Workload): Promise<number> {
  if (!processor.settings.outputs.search) return 0;
  return countStored(system.admin(), "EMBEDDINGS", subjects.embeddingsOf("default", stream));
}

/** All results from the first on, and those that come within a moment after the last that is expected. */
async function readResults({ processor }: Workload, expected: number): Promise<Arrived[]> {
  const arrived: Arrived[] = [];
  const stopping = new AbortController();
  let timer = setTimeout(() => stopping.abort(), 10_000);
  for await (const { content } of processor.subscribe({ from: "earliest", signal: stopping.signal })) {
    const text = String(content);
    arrived.push({ id: idOf(text), content: text });
    if (arrived.length < expected) continue;
    clearTimeout(timer);
    timer = setTimeout(() => stopping.abort(), 300);
  }
  clearTimeout(timer);
  return arrived;
}

/** The judges are worth what they refuse: each kind of damage, done to this very run, must be seen. */
function assertJudgesSee(sent: readonly Sent[], arrived: readonly Arrived[]): void {
  const acknowledged = new Set(sent.filter((one) => one.acknowledged).map(({ id }) => id));
  const at = arrived.findIndex(({ id }) => acknowledged.has(id));
  const [victim] = arrived.slice(at, at + 1);
  assert.ok(victim !== undefined, "something acknowledged arrived");
  const dropped = faultsOf({ sent, arrived: arrived.toSpliced(at, 1) });
  assert.deepEqual(dropped, { ...noFaults, lost: [victim.id] });
  const doubled = faultsOf({ sent, arrived: [...arrived, victim] });
  assert.deepEqual(doubled, { ...noFaults, duplicated: [victim.id] });
  const changed = { ...victim, content: `${victim.content} ` };
  const altered = faultsOf({ sent, arrived: arrived.toSpliced(at, 1, changed) });
  assert.deepEqual(altered, { ...noFaults, altered: [victim.id] });
  const leaked = faultsOf({ sent, arrived: [...arrived, { id: "none 0", content: "none 0" }] });
  assert.deepEqual(leaked, { ...noFaults, altered: ["none 0"] });
  // Sorted as a stream that promises order would show them; then two of one source change places.
  const places = new Map(sent.map(({ id, position }) => [id, position]));
  const ordered = arrived.toSorted((a, b) => (places.get(a.id) ?? 0) - (places.get(b.id) ?? 0));
  assert.deepEqual(findOutOfOrder({ sent, arrived: ordered }), []);
  const last = ordered.findLastIndex(({ id }) => id.split(" ")[0] === victim.id.split(" ")[0]);
  const first = ordered.findIndex(({ id }) => id.split(" ")[0] === victim.id.split(" ")[0]);
  if (first === last) return;
  const swapped = ordered.with(first, present(ordered[last])).with(last, present(ordered[first]));
  assert.ok(findOutOfOrder({ sent, arrived: swapped }).length > 0, "two that changed places are seen");
}

function present<T>(value: T | undefined): T {
  assert.ok(value !== undefined);
  return value;
}
