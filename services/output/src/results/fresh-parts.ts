import { type IntervalSet, type OpenBatch, rowPositions, selectRows } from "@millrace/envelope";

/**
 * Runs of rows whose positions are not settled yet: all of a batch, but for what a crash made travel twice.
 */
export function freshParts(open: OpenBatch, settled: IntervalSet): OpenBatch[] {
  const { header } = open;
  const missing = settled.missing({ from: header.positionFrom, to: header.positionTo });
  if (missing.length === 0) return [];
  const [only] = missing;
  if (missing.length === 1 && only?.from === header.positionFrom && only.to === header.positionTo)
    return [open];
  const positions = rowPositions(header, open.columns);
  const parts: OpenBatch[] = [];
  let from = -1;
  for (let row = 0; row <= header.count; row++) {
    const isFresh = row < header.count && !settled.has(positions[row] as number);
    if (isFresh && from < 0) from = row;
    if (isFresh || from < 0) continue;
    parts.push(selectRows(open, from, row, { stage: "fresh", index: from }));
    from = -1;
  }
  return parts;
}
