import { idText, type Interval, type IntervalSet, type OpenBatch, rowPositions } from "@millrace/envelope";

/** Rows [from, to) of a batch. */
export interface RowRun {
  from: number;
  to: number;
}

export interface RowChoice {
  /** Rows to store, in order; runs do not touch. */
  runs: RowRun[];
  /** How many rows are left out because their positions are stored already. */
  settled: number;
  /** Rows that are left out because a message with the id that their client gave is stored already. */
  repeated: number[];
}

/** The ids that clients gave, by row; rows without one, whose 16 bytes are zero, are absent. */
export function keyedIds({ header, columns }: OpenBatch): Map<number, string> {
  const ids = new Map<number, string>();
  if (columns.ids.length === 0) return ids;
  for (let row = 0; row < header.count; row += 1) {
    const id = columns.ids.subarray(16 * row, 16 * row + 16);
    if (id.some((byte) => byte !== 0)) ids.set(row, idText(id));
  }
  return ids;
}

/**
 * Which rows of a batch are new, by position and, where a client gave an id, by id (also within the batch).
 */
export function chooseRows(
  open: OpenBatch,
  taken: IntervalSet,
  { ids, isSeen }: { ids: ReadonlyMap<number, string>; isSeen: (id: string) => boolean },
): RowChoice {
  const { positionFrom, positionTo, count } = open.header;
  const isFresh = taken.overlap({ from: positionFrom, to: positionTo }).length === 0;
  if (isFresh && ids.size === 0) return { runs: [{ from: 0, to: count }], settled: 0, repeated: [] };
  const positions = rowPositions(open.header, open.columns);
  const choice: RowChoice = { runs: [], settled: 0, repeated: [] };
  const inBatch = new Set<string>();
  for (let row = 0; row < count; row += 1) {
    const id = ids.get(row);
    if (!isFresh && taken.has(positions[row] as number)) choice.settled += 1;
    else if (id !== undefined && (isSeen(id) || inBatch.has(id))) choice.repeated.push(row);
    else {
      extendRuns(choice.runs, row);
      if (id !== undefined) inBatch.add(id);
    }
  }
  return choice;
}

export function extendRuns(runs: RowRun[], row: number): void {
  const last = runs.at(-1);
  if (last?.to === row) last.to = row + 1;
  else runs.push({ from: row, to: row + 1 });
}

export function* rowsOf(runs: readonly RowRun[]): Generator<number> {
  for (const { from, to } of runs) for (let row = from; row < to; row += 1) yield row;
}

/** The source positions that runs of rows cover. */
export function intervalsOf(positions: Float64Array, runs: readonly RowRun[]): Interval[] {
  return runs.map(({ from, to }) => ({ from: positions[from] as number, to: positions[to] as number }));
}
