import type { Annotations, Columns, Scenes } from "@millrace/proto/batch";
import { u32Column } from "./open-columns.js";

/** What is wrong with a column, and which one it is. */
export interface Complaint {
  what: string;
  field: string;
}

/** Columns that name their rows: each row must exist, and parallel columns must be of one length. */
export function complaintOfSparse(columns: Columns, count: number): Complaint | undefined {
  for (const column of columns.attributes) {
    if (column.rows.length !== column.values.length) {
      return { what: "rows and values differ in number", field: "columns.attributes" };
    }
    if (!areRows(column.rows, count)) return { what: "no such row", field: "columns.attributes" };
  }
  if (!areRows(columns.rowsWithoutEmbedding, count)) {
    return { what: "no such row", field: "columns.rows_without_embedding" };
  }
  const { imageRows, imageWishes } = columns;
  if (imageRows.length !== imageWishes.length || !areRows(imageRows, count)) {
    return { what: "no such row, or not a wish a row", field: "columns.image_rows" };
  }
  return undefined;
}

export function complaintOfAnnotations(
  annotations: Annotations | undefined,
  count: number,
): Complaint | undefined {
  if (annotations === undefined) return undefined;
  const { findings, embeddings, sentiments, objects, scenes } = annotations;
  if (findings !== undefined) {
    const { rows, types, starts, lengths, nameRows, nameTypes, omittedRows, omittedCounts } = findings;
    const parallel = [rows, starts, lengths].every((column) => column.length === 4 * types.length);
    const isSparse = nameTypes.length === nameRows.length && omittedCounts.length === omittedRows.length;
    if (!parallel || !isSparse) {
      return { what: "columns differ in length", field: "annotations.findings" };
    }
    if (![u32Column(rows), nameRows, omittedRows].every((column) => areRows(column, count))) {
      return { what: "no such row", field: "annotations.findings" };
    }
  }
  if (embeddings !== undefined) {
    const { rows, dimensions, vectors } = embeddings;
    if (vectors.length !== rows.length * dimensions * 2) {
      return { what: "vectors do not match rows and dimensions", field: "annotations.embeddings" };
    }
    // Ascending, so that the rows of a cut are one run of vectors.
    if (!areRows(rows, count) || !isAscending(rows)) {
      return { what: "rows are not ascending rows", field: "annotations.embeddings" };
    }
  }
  if (sentiments !== undefined) {
    const { rows, scores, labels } = sentiments;
    if (scores.length !== rows.length || labels.length !== rows.length) {
      return { what: "columns differ in length", field: "annotations.sentiments" };
    }
    if (!areRows(rows, count)) return { what: "no such row", field: "annotations.sentiments" };
  }
  if (
    objects !== undefined &&
    (!areSeen(objects, count) || objects.boxes.length !== 4 * objects.rows.length)
  ) {
    return { what: "no such row, or columns differ in length", field: "annotations.objects" };
  }
  if (scenes !== undefined && !areSeen(scenes, count)) {
    return { what: "no such row, or columns differ in length", field: "annotations.scenes" };
  }
  return undefined;
}

function areSeen({ rows, labels, scores }: Scenes, count: number): boolean {
  return labels.length === rows.length && scores.length === rows.length && areRows(rows, count);
}

function areRows(rows: readonly number[] | Uint32Array, count: number): boolean {
  for (let at = 0; at < rows.length; at++) if ((rows[at] as number) >= count) return false;
  return true;
}

function isAscending(rows: readonly number[]): boolean {
  return rows.every((row, at) => at === 0 || row > (rows[at - 1] ?? 0));
}
