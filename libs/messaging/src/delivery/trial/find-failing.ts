import type { CodedError } from "@millrace/errors";
import type { RowFailure } from "../dead-letters.js";

/** Rows [from, to) of a batch. */
export interface Rows {
  from: number;
  to: number;
}

export interface Judgement {
  /** Together with `failed` all rows of the batch. */
  passed: readonly Rows[];
  failed: readonly RowFailure[];
}

/** Cuts of a failed piece: one that hangs costs its whole time, one that passes nearly none. */
const cuts = 8;

/** Finds the rows that fail on their own, by trying smaller and smaller pieces. */
export async function findFailing(
  count: number,
  fails: (rows: Rows) => Promise<CodedError | undefined>,
): Promise<Judgement> {
  const passed: Rows[] = [];
  const failed: RowFailure[] = [];
  const visit = async (rows: Rows): Promise<void> => {
    const error = await fails(rows);
    const size = rows.to - rows.from;
    if (error === undefined) passed.push(rows);
    else if (size === 1) failed.push({ row: rows.from, error });
    else {
      const step = Math.ceil(size / cuts);
      for (let from = rows.from; from < rows.to; from += step) {
        await visit({ from, to: Math.min(from + step, rows.to) });
      }
    }
  };
  await visit({ from: 0, to: count });
  return { passed, failed };
}
