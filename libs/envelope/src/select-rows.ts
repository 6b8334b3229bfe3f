import type { Objects, Scenes } from "@millrace/proto/batch";
import { idBytes, idText, outputId } from "./ids.js";
import { type OpenBatch, rowOffsets, rowPositions, stride } from "./open-batch.js";
import type { OpenAnnotations, OpenColumns } from "./open-columns.js";

/**
 * Rows [from, to) of a batch as a batch of their own: columns cut, annotations re-numbered, the body a view
 * into the old one. The id is derived from the old one, `stage` and `index`.
 */
export function selectRows(
  open: OpenBatch,
  from: number,
  to: number,
  as: { stage: string; index: number },
): OpenBatch {
  if (from === 0 && to === open.header.count) return open;
  const offsets = rowOffsets(open.header, open.columns);
  const positions = rowPositions(open.header, open.columns);
  const start = offsets[from] as number;
  const end = offsets[to] as number;
  return {
    header: {
      ...open.header,
      id: idBytes(outputId(idText(open.header.id), as.stage, as.index)),
      positionFrom: positions[from] as number,
      positionTo: positions[to] as number,
      count: to - from,
      bodyBytes: end - start,
    },
    columns: cutColumns(open.columns, from, to),
    body: open.body.subarray(start, end),
    annotations: cutAnnotations(open.annotations, from, to),
    passport: open.passport,
  };
}

/**
 * Cuts a batch into pieces of at most `rowsMax` messages and about `bytesMax` bytes (one message may be
 * larger).
 */
export function splitBatch(open: OpenBatch, rowsMax: number, bytesMax: number, stage: string): OpenBatch[] {
  const pieces: OpenBatch[] = [];
  const gap = stride(open.header.framing);
  let from = 0;
  let bytes = 0;
  for (let row = 0; row < open.header.count; row++) {
    const size = (open.columns.lengths[row] as number) + gap;
    if (row > from && (row - from >= rowsMax || bytes + size > bytesMax)) {
      pieces.push(selectRows(open, from, row, { stage, index: pieces.length }));
      from = row;
      bytes = 0;
    }
    bytes += size;
  }
  pieces.push(selectRows(open, from, open.header.count, { stage, index: pieces.length }));
  return pieces;
}

/**
 * Only the source ids that the rows use: a dictionary of a large batch would outweigh its pieces, and tell of
 * others.
 */
function cutSourceIds(
  columns: OpenColumns,
  from: number,
  to: number,
): Pick<OpenColumns, "sourceIds" | "sourceIdIndexes"> {
  const { sourceIds, sourceIdIndexes } = columns;
  if (sourceIdIndexes.length === 0) return { sourceIds: sourceIds.slice(0, 1), sourceIdIndexes };
  const renumbered = new Map<number, number>();
  const indexes = sourceIdIndexes.slice(from, to).map((index) => {
    const known = renumbered.get(index) ?? renumbered.size;
    renumbered.set(index, known);
    return known;
  });
  return {
    sourceIds: [...renumbered.keys()].map((index) => sourceIds[index] ?? ""),
    sourceIdIndexes: indexes,
  };
}

function cutColumns(columns: OpenColumns, from: number, to: number): OpenColumns {
  const sliced = (column: number[]): number[] => (column.length === 0 ? column : column.slice(from, to));
  return {
    lengths: columns.lengths.subarray(from, to),
    positionDeltas: columns.positionDeltas.subarray(from, to),
    eventTimeBaseMs: columns.eventTimeBaseMs,
    eventTimeDeltasMs: sliced(columns.eventTimeDeltasMs),
    kind: columns.kind,
    kinds: columns.kinds.length === 0 ? columns.kinds : columns.kinds.slice(from, to),
    ...cutSourceIds(columns, from, to),
    ids: columns.ids.length === 0 ? columns.ids : columns.ids.subarray(16 * from, 16 * to),
    attributes: columns.attributes
      .map((column) => {
        const kept = rowsWithin(column.rows, from, to);
        return {
          name: column.name,
          rows: kept.map((at) => (column.rows[at] as number) - from),
          values: kept.map((at) => column.values[at] ?? ""),
        };
      })
      .filter((column) => column.rows.length > 0),
    rowsWithoutEmbedding: shiftRows(columns.rowsWithoutEmbedding, from, to),
    imageRows: shiftRows(columns.imageRows, from, to),
    imageWishes: rowsWithin(columns.imageRows, from, to).map((at) => columns.imageWishes[at] as number),
  };
}

function cutAnnotations(annotations: OpenAnnotations, from: number, to: number): OpenAnnotations {
  const { findings, embeddings, sentiments, objects, scenes } = annotations;
  const pick = (column: readonly number[], kept: readonly number[]): number[] =>
    kept.map((at) => column[at] as number);
  const inBody = findings === undefined ? [] : rowsWithin(findings.rows, from, to);
  const cut = findings === undefined ? [] : rowsWithin(findings.omittedRows, from, to);
  const inNames = findings === undefined ? [] : rowsWithin(findings.nameRows, from, to);
  const embedded = embeddings === undefined ? [] : rowsWithin(embeddings.rows, from, to);
  const judged = sentiments === undefined ? [] : rowsWithin(sentiments.rows, from, to);
  return {
    findings: findings && {
      rows: Uint32Array.from(inBody, (at) => (findings.rows[at] as number) - from),
      types: Uint8Array.from(inBody, (at) => findings.types[at] as number),
      starts: Uint32Array.from(inBody, (at) => findings.starts[at] as number),
      lengths: Uint32Array.from(inBody, (at) => findings.lengths[at] as number),
      nameRows: pick(findings.nameRows, inNames).map((row) => row - from),
      nameTypes: pick(findings.nameTypes, inNames),
      omittedRows: pick(findings.omittedRows, cut).map((row) => row - from),
      omittedCounts: pick(findings.omittedCounts, cut),
    },
    // Rows are sorted, so the kept ones are one run of vectors.
    embeddings: embeddings && {
      ...embeddings,
      rows: pick(embeddings.rows, embedded).map((row) => row - from),
      vectors: embeddings.vectors.subarray(
        (embedded[0] ?? 0) * embeddings.dimensions * 2,
        ((embedded.at(-1) ?? -1) + 1) * embeddings.dimensions * 2,
      ),
    },
    sentiments: sentiments && {
      model: sentiments.model,
      rows: pick(sentiments.rows, judged).map((row) => row - from),
      scores: pick(sentiments.scores, judged),
      labels: judged.map((at) => sentiments.labels[at] ?? 0),
    },
    objects: objects && cutObjects(objects, from, to),
    scenes: scenes && cutScenes(scenes, from, to),
  };
}

function cutScenes(scenes: Scenes, from: number, to: number): Scenes {
  const kept = rowsWithin(scenes.rows, from, to);
  return {
    model: scenes.model,
    rows: kept.map((at) => (scenes.rows[at] as number) - from),
    labels: kept.map((at) => scenes.labels[at] ?? ""),
    scores: kept.map((at) => scenes.scores[at] ?? 0),
  };
}

function cutObjects(objects: Objects, from: number, to: number): Objects {
  const kept = rowsWithin(objects.rows, from, to);
  const boxes = kept.flatMap((at) => objects.boxes.slice(4 * at, 4 * at + 4));
  return { ...cutScenes(objects, from, to), boxes };
}

/** Indexes into a sorted row column whose rows lie in [from, to). */
function rowsWithin(rows: readonly number[] | Uint32Array, from: number, to: number): number[] {
  const kept: number[] = [];
  for (let at = 0; at < rows.length; at++) {
    const row = rows[at] as number;
    if (row >= from && row < to) kept.push(at);
  }
  return kept;
}

function shiftRows(rows: readonly number[], from: number, to: number): number[] {
  return rows.filter((row) => row >= from && row < to).map((row) => row - from);
}
