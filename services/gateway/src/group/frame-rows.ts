import type { CodedError } from "@millrace/errors";
import type { PartlySettled, RowAttempts } from "@millrace/proto/group";

/*
 * Where each row of a frame is:
 *
 *   ready ─► in hand ─► settled            all settled: the frame is acknowledged
 *     ▲         │
 *     └─ delayed ◄┘ failed or taken away, with the count of its attempts; doomed: to the dead letters
 */
export interface FrameRows {
  /** In hand from then on, and one more attempt. */
  take(row: number): void;
  settle(row: number): void;
  /** Back to the others, without the attempt. */
  release(row: number): void;
  /** Again at that time; where `counts` is false without the attempt. */
  delay(row: number, of: { dueMs: number; nowMs: number; counts: boolean }): void;
  /** To the dead letters at that time: `takeDoomed` hands it out. */
  doom(row: number, error: CodedError, dueMs: number): void;
  takeDoomed(): { row: number; error: CodedError } | undefined;
  /** Makes rows ready whose time has come. */
  wake(nowMs: number): void;
  /** The first row that is ready, and suits. */
  firstReady(suits: (row: number) => boolean): number | undefined;
  readyCount(): number;
  inHandCount(): number;
  isSettled(): boolean;
  /** When the next delayed row is due; infinite where there is none. */
  nextDueMs(): number;
  attempts(row: number): number;
  failedMs(row: number): number;
  state(): PartlySettled;
}

const ready = 0;
const inHand = 1;
const delayed = 2;
const settled = 3;

interface Table {
  states: Uint8Array;
  /** Rows in each state. */
  counts: number[];
  attempts: Uint16Array;
  dueMs: Float64Array;
  failedMs: Float64Array;
  set(row: number, to: number): void;
}

function createTable(count: number): Table {
  const states = new Uint8Array(count);
  const counts = [count, 0, 0, 0];
  return {
    states,
    counts,
    attempts: new Uint16Array(count),
    dueMs: new Float64Array(count),
    failedMs: new Float64Array(count),
    set: (row, to) => {
      const from = states[row] as number;
      counts[from] = (counts[from] as number) - 1;
      counts[to] = (counts[to] as number) + 1;
      states[row] = to;
    },
  };
}

export interface RowsToHold {
  count: number;
  nowMs: number;
  /** What is remembered of an earlier holder. */
  stored: PartlySettled | undefined;
}

export function createFrameRows({ count, nowMs, stored }: RowsToHold): FrameRows {
  const table = createTable(count);
  const { states, counts, attempts, dueMs, failedMs, set } = table;
  const doomed = new Map<number, CodedError>();
  load(table, { count, nowMs, stored });
  // No row before it is ready.
  let from = 0;
  const makeReady = (row: number): void => {
    set(row, ready);
    from = Math.min(from, row);
  };
  const uncount = (row: number): void => {
    attempts[row] = Math.max(0, (attempts[row] as number) - 1);
  };
  const put = (row: number, due: number): void => {
    dueMs[row] = due;
    set(row, delayed);
  };
  return {
    take: (row) => {
      set(row, inHand);
      attempts[row] = Math.min(65_535, (attempts[row] as number) + 1);
    },
    settle: (row) => set(row, settled),
    release: (row) => {
      uncount(row);
      makeReady(row);
    },
    delay: (row, of) => {
      if (!of.counts) uncount(row);
      failedMs[row] = of.nowMs;
      put(row, of.dueMs);
    },
    doom: (row, error, due) => {
      doomed.set(row, error);
      put(row, due);
    },
    takeDoomed: () => {
      for (const [row, error] of doomed) {
        if (states[row] !== ready) continue;
        doomed.delete(row);
        set(row, inHand);
        return { row, error };
      }
      return undefined;
    },
    wake: (now) => {
      if (counts[delayed] === 0) return;
      for (let row = 0; row < count; row++) {
        if (states[row] === delayed && (dueMs[row] as number) <= now) makeReady(row);
      }
    },
    firstReady: (suits) => {
      while (from < count && states[from] !== ready) from++;
      for (let row = from; row < count; row++) {
        if (states[row] === ready && !doomed.has(row) && suits(row)) return row;
      }
      return undefined;
    },
    readyCount: () => (counts[ready] as number) - (doomed.size > 0 ? readyDoomed(doomed, states) : 0),
    inHandCount: () => counts[inHand] as number,
    isSettled: () => counts[settled] === count,
    nextDueMs: () => {
      let next = Number.POSITIVE_INFINITY;
      for (let row = 0; row < count; row++) {
        if (states[row] === delayed) next = Math.min(next, dueMs[row] as number);
      }
      return next;
    },
    attempts: (row) => attempts[row] as number,
    failedMs: (row) => failedMs[row] as number,
    state: () => stateOf(table, count),
  };
}

function readyDoomed(doomed: ReadonlyMap<number, unknown>, states: Uint8Array): number {
  return [...doomed.keys()].filter((row) => states[row] === ready).length;
}

function load(table: Table, { count, nowMs, stored }: RowsToHold): void {
  for (let row = 0; row < count; row++) {
    if ((((stored?.settled[row >> 3] ?? 0) >> (row & 7)) & 1) === 1) table.set(row, settled);
  }
  for (const begun of stored?.rows ?? []) {
    if (begun.row >= count || table.states[begun.row] === settled) continue;
    table.attempts[begun.row] = begun.attempts;
    table.failedMs[begun.row] = begun.failedMs;
    table.dueMs[begun.row] = begun.notBeforeMs;
    if (begun.notBeforeMs > nowMs) table.set(begun.row, delayed);
  }
}

function stateOf({ states, attempts, dueMs, failedMs }: Table, count: number): PartlySettled {
  const bits = new Uint8Array(Math.ceil(count / 8));
  const rows: RowAttempts[] = [];
  for (let row = 0; row < count; row++) {
    if (states[row] === settled) {
      bits[row >> 3] = (bits[row >> 3] as number) | (1 << (row & 7));
      continue;
    }
    const notBeforeMs = states[row] === delayed ? Math.round(dueMs[row] as number) : 0;
    const begun = attempts[row] as number;
    if (begun === 0 && notBeforeMs === 0) continue;
    rows.push({ row, attempts: begun, notBeforeMs, failedMs: Math.round(failedMs[row] as number) });
  }
  return { settled: bits, rows };
}
