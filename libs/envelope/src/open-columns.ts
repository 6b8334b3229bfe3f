import { assert } from "@millrace/errors";
import type { Annotations, Columns, Findings } from "@millrace/proto/batch";

/** Columns as a hop works on them: those with an entry a message are arrays, not bytes. */
export interface OpenColumns extends Omit<Columns, "lengths" | "positionDeltas"> {
  lengths: Uint32Array;
  positionDeltas: Uint32Array;
}

export interface OpenFindings extends Omit<Findings, "rows" | "types" | "starts" | "lengths"> {
  rows: Uint32Array;
  types: Uint8Array;
  starts: Uint32Array;
  lengths: Uint32Array;
}

export interface OpenAnnotations extends Omit<Annotations, "findings"> {
  findings: OpenFindings | undefined;
}

export const noColumn = new Uint32Array();

/** Of a batch that nothing has looked at. */
export const noAnnotations: OpenAnnotations = {
  findings: undefined,
  embeddings: undefined,
  sentiments: undefined,
  objects: undefined,
  scenes: undefined,
};

// The wire is little endian, and so is every platform that Node runs on but for one.
assert(new Uint8Array(Uint32Array.of(1).buffer)[0] === 1, "this machine stores numbers little endian");

/** The entries of a column; a view where the bytes are aligned, else a copy. */
export function u32Column(bytes: Uint8Array): Uint32Array {
  const { buffer, byteOffset, length } = bytes;
  if (byteOffset % 4 === 0) return new Uint32Array(buffer, byteOffset, length >>> 2);
  return new Uint32Array(buffer.slice(byteOffset, byteOffset + length - (length & 3)));
}

/** The column as it travels: a view. */
export function columnBytes(column: Uint32Array): Uint8Array {
  return new Uint8Array(column.buffer, column.byteOffset, column.byteLength);
}

export function openColumns(columns: Columns): OpenColumns {
  return {
    ...columns,
    lengths: u32Column(columns.lengths),
    positionDeltas: u32Column(columns.positionDeltas),
  };
}

export function wireColumns(columns: OpenColumns): Columns {
  return {
    ...columns,
    lengths: columnBytes(columns.lengths),
    positionDeltas: columnBytes(columns.positionDeltas),
  };
}

export function openAnnotations(annotations: Annotations | undefined): OpenAnnotations {
  if (annotations === undefined) return noAnnotations;
  const { findings } = annotations;
  return {
    ...annotations,
    findings: findings && {
      ...findings,
      rows: u32Column(findings.rows),
      starts: u32Column(findings.starts),
      lengths: u32Column(findings.lengths),
    },
  };
}

export function wireAnnotations(annotations: OpenAnnotations): Annotations {
  const { findings } = annotations;
  return {
    ...annotations,
    findings: findings && {
      ...findings,
      rows: columnBytes(findings.rows),
      starts: columnBytes(findings.starts),
      lengths: columnBytes(findings.lengths),
    },
  };
}
