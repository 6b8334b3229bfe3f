import { type OpenBatch, rowKind, rowOffsets } from "@millrace/envelope";
import { Kind } from "@millrace/proto/batch";

export interface RowTexts {
  /** Rows that have a text to analyse, and these texts, parallel. */
  rows: number[];
  texts: string[];
}

/** Texts of a batch: whole messages, or one string field of them where they are JSON objects. */
export function rowTexts(open: OpenBatch, textField: string): RowTexts {
  const offsets = rowOffsets(open.header, open.columns);
  const decoder = new TextDecoder();
  const rows: number[] = [];
  const texts: string[] = [];
  for (let row = 0; row < open.header.count; row++) {
    if (rowKind(open.columns, row) !== Kind.KIND_TEXT) continue;
    const from = offsets[row] as number;
    const content = decoder.decode(open.body.subarray(from, from + (open.columns.lengths[row] as number)));
    const text = (textField === "" ? content : fieldOf(content, textField)).trim();
    if (text === "") continue;
    rows.push(row);
    texts.push(text);
  }
  return { rows, texts };
}

/** The field's string; the whole content where that is no JSON object with such a field. */
export function fieldOf(content: string, field: string): string {
  if (!content.startsWith("{")) return content;
  try {
    const value: unknown = (JSON.parse(content) as Record<string, unknown>)[field];
    return typeof value === "string" ? value : content;
  } catch {
    return content;
  }
}
