import { limits } from "./limits.js";
import type { SendableBatch } from "./open-batch.js";
import type { OpenFindings } from "./open-columns.js";

/**
 * The batch with at most `findingsMax` findings a message in its content and `nameFindingsMax` in its names;
 * those after are counted. Their list would outgrow what one message on the bus can hold, which no cut of the
 * batch mends.
 */
export function boundFindings<B extends SendableBatch>(open: B): B {
  const { findings } = open.annotations;
  if (findings === undefined) return open;
  const omitted = new Map<number, number>();
  const inContents = keptWithin(findings.rows, limits.findingsMax, omitted);
  const inNames = keptWithin(findings.nameRows, limits.nameFindingsMax, omitted);
  if (omitted.size === 0) return open;
  return {
    ...open,
    annotations: { ...open.annotations, findings: cut(findings, inContents, inNames, omitted) },
  };
}

/** Indexes of the first entries of each row; counts the others. */
function keptWithin(
  rows: readonly number[] | Uint32Array,
  max: number,
  omitted: Map<number, number>,
): readonly number[] | undefined {
  // Most batches have fewer in all.
  if (rows.length <= max) return undefined;
  const counts = new Map<number, number>();
  const kept: number[] = [];
  let hasMore = false;
  for (let at = 0; at < rows.length; at++) {
    const row = rows[at] as number;
    const count = (counts.get(row) ?? 0) + 1;
    counts.set(row, count);
    if (count <= max) kept.push(at);
    else {
      hasMore = true;
      omitted.set(row, (omitted.get(row) ?? 0) + 1);
    }
  }
  return hasMore ? kept : undefined;
}

function cut(
  findings: OpenFindings,
  inContents: readonly number[] | undefined,
  inNames: readonly number[] | undefined,
  omitted: ReadonlyMap<number, number>,
): OpenFindings {
  const numbers = (column: Uint32Array): Uint32Array =>
    inContents === undefined ? column : Uint32Array.from(inContents, (at) => column[at] as number);
  const names = (column: number[]): number[] => inNames?.map((at) => column[at] as number) ?? column;
  const { types } = findings;
  return {
    rows: numbers(findings.rows),
    types: inContents === undefined ? types : Uint8Array.from(inContents, (at) => types[at] as number),
    starts: numbers(findings.starts),
    lengths: numbers(findings.lengths),
    nameRows: names(findings.nameRows),
    nameTypes: names(findings.nameTypes),
    omittedRows: [...omitted.keys()],
    omittedCounts: [...omitted.values()],
  };
}
