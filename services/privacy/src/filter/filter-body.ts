import { type OpenBatch, stride } from "@millrace/envelope";
import { redactBody } from "../redact/redact-body.js";
import { filterNames } from "./filter-names.js";
import type { Filter } from "./filters.js";

/** Memory for redacted bodies; `createBodyPool` of libs/segments is one. */
export interface Bodies {
  take(bytes: number): Uint8Array;
  give(view: Uint8Array): void;
}

/** The batch without personal data, and where it was. Positions and ids stay: they were fixed before. */
export function filterOpenBatch(filter: Filter, open: OpenBatch, pool: Bodies): OpenBatch {
  const boundaries = { lengths: open.columns.lengths, gapBytes: stride(open.header.framing) };
  const findings = filter.scanner.scan(open.body, boundaries);
  const output = findings.count === 0 ? undefined : pool.take(open.body.length);
  const redacted = redactBody(
    open.body,
    findings,
    output === undefined ? boundaries : { ...boundaries, output },
  );
  // It may have grown out of the memory that was meant for it.
  if (output !== undefined && redacted.body.buffer !== output.buffer) pool.give(output);
  const names = filterNames(filter, open.columns);
  return {
    header: { ...open.header, bodyBytes: redacted.body.length },
    columns: {
      ...open.columns,
      lengths: redacted.lengths,
      sourceIds: names.sourceIds,
      attributes: names.attributes,
    },
    body: redacted.body,
    annotations: {
      ...open.annotations,
      findings: {
        rows: redacted.rows,
        types: redacted.types,
        starts: redacted.starts,
        lengths: redacted.tokenLengths,
        nameRows: names.rows,
        nameTypes: names.types,
      },
    },
    passport: open.passport,
  };
}
