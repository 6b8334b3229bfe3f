import type { OpenColumns } from "@millrace/envelope";
import type { AttributeColumn } from "@millrace/proto/batch";
import { findingCodes } from "../detect/finding-type.js";
import { detectText, redactText } from "../redact/detect-text.js";
import { pseudonym } from "../redact/pseudonym.js";
import type { Filter } from "./filters.js";

export interface FilteredNames {
  sourceIds: string[];
  attributes: AttributeColumn[];
  /** Findings outside bodies: row and type code, parallel. */
  rows: number[];
  types: number[];
}

/** A name with personal data becomes a keyed pseudonym, so that what belongs together stays together. */
export function filterName(filter: Filter, name: string): string {
  return detectText(name, filter.scanner).length === 0 ? name : pseudonym(filter.key, name);
}

/** Source ids and attributes are payload too: names of attributes as well as their values. */
export function filterNames(filter: Filter, columns: OpenColumns): FilteredNames {
  const rows: number[] = [];
  const types: number[] = [];
  const sourceIds = columns.sourceIds.map((name, index) => {
    const findings = detectText(name, filter.scanner);
    if (findings.length === 0) return name;
    for (let row = 0; row < columns.lengths.length; row++) {
      if ((columns.sourceIdIndexes[row] ?? 0) !== index) continue;
      for (const finding of findings) {
        rows.push(row);
        types.push(findingCodes[finding.type]);
      }
    }
    return pseudonym(filter.key, name);
  });
  const attributes = columns.attributes.map((column) => {
    const inName = detectText(column.name, filter.scanner);
    const values = column.values.map((value, at) => {
      for (const finding of [...inName, ...detectText(value, filter.scanner)]) {
        rows.push(column.rows[at] ?? 0);
        types.push(findingCodes[finding.type]);
      }
      return redactText(value, filter.scanner);
    });
    return { name: redactText(column.name, filter.scanner), rows: column.rows, values };
  });
  return { sourceIds, attributes, rows, types };
}
