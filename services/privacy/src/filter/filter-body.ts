import { type OpenBatch, stride } from "@millrace/envelope";
import { redactBody } from "../redact/redact-body.js";
import { filterNames } from "./filter-names.js";
import type { Filter } from "./filters.js";

/** The batch without personal data, and where it was. Positions and ids stay: they were fixed before. */
export function filterOpenBatch(filter: Filter, open: OpenBatch): OpenBatch {
  const boundaries = { lengths: open.columns.lengths, gapBytes: stride(open.header.framing) };
  const redacted = redactBody(open.body, filter.scanner.scan(open.body, boundaries), boundaries);
  const names = filterNames(filter, open.columns);
  return {
    header: { ...open.header, bodyBytes: redacted.body.length },
    columns: {
      ...open.columns,
      lengths: Array.from(redacted.lengths),
      sourceIds: names.sourceIds,
      attributes: names.attributes,
    },
    body: redacted.body,
    annotations: {
      ...open.annotations,
      findings: {
        rows: Array.from(redacted.rows),
        types: Array.from(redacted.types),
        starts: Array.from(redacted.starts),
        lengths: Array.from(redacted.tokenLengths),
        nameRows: names.rows,
        nameTypes: names.types,
      },
    },
    passport: open.passport,
  };
}
