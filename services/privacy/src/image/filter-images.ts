import {
  faceCode,
  type OpenBatch,
  packFaceBox,
  rowKind,
  rowOffsets,
  selectRows,
  type SendableBatch,
  stride,
  wholeBatch,
} from "@millrace/envelope";
import { CodedError, disposition } from "@millrace/errors";
import { Kind } from "@millrace/proto/batch";
import type { CleanImage } from "./clean-image.js";

/** Some rows of a batch, and the images among them as they may go on. */
export interface ImagePiece {
  open: OpenBatch;
  images: ReadonlyMap<number, CleanImage>;
}

export interface FilteredImages {
  /** Together all rows that have no failure. */
  pieces: ImagePiece[];
  failures: { row: number; error: CodedError }[];
}

export function hasImages({ header, columns }: OpenBatch): boolean {
  for (let row = 0; row < header.count; row++) {
    if (rowKind(columns, row) === Kind.KIND_IMAGE) return true;
  }
  return false;
}

/**
 * Cleans each image of a batch. One that is at fault fails alone; the others, and texts beside it, pass.
 *
 * @throws CodedError where nothing is wrong with the image: what cleans it is missing, or stops.
 */
export async function filterImages(
  raw: OpenBatch,
  clean: (bytes: Uint8Array) => Promise<CleanImage>,
): Promise<FilteredImages> {
  const offsets = rowOffsets(raw.header, raw.columns);
  const images = new Map<number, CleanImage>();
  const failures: FilteredImages["failures"] = [];
  for (let row = 0; row < raw.header.count; row++) {
    if (rowKind(raw.columns, row) !== Kind.KIND_IMAGE) continue;
    const start = offsets[row] ?? 0;
    const bytes = raw.body.subarray(start, start + (raw.columns.lengths[row] ?? 0));
    try {
      images.set(row, await clean(bytes));
    } catch (caught) {
      const error = CodedError.from(caught, "filter an image");
      if (!isOfImage(error)) throw error;
      failures.push({ row, error });
    }
  }
  return { pieces: piecesOf(raw, images, failures), failures };
}

/**
 * Whether the image is at fault; that it takes too long is of the image too, and no wait would shorten it.
 */
export function isOfImage({ code }: CodedError): boolean {
  const verdict = disposition(code);
  return code === "deadline_exceeded" || (verdict !== "wait" && verdict !== "release");
}

/** The batch itself where nothing failed, else the rows between failures, under ids of their own. */
function piecesOf(
  raw: OpenBatch,
  images: ReadonlyMap<number, CleanImage>,
  failures: FilteredImages["failures"],
): ImagePiece[] {
  const pieces: ImagePiece[] = [];
  let from = 0;
  for (const to of [...failures.map(({ row }) => row), raw.header.count]) {
    if (to > from) {
      const start = from;
      const within = [...images].filter(([row]) => row >= start && row < to);
      pieces.push({
        open: selectRows(raw, from, to, { stage: "privacy-images", index: from }),
        images: new Map(within.map(([row, image]) => [row - start, image])),
      });
    }
    from = to + 1;
  }
  return pieces;
}

/** The same rows, the images empty: what the detectors of text look at. */
export function withoutImages({ open, images }: ImagePiece): OpenBatch {
  const { bodyCrc32: _, leased: __, ...rest } = open;
  const offsets = rowOffsets(open.header, open.columns);
  const gap = stride(open.header.framing);
  const lengths = open.columns.lengths.slice();
  const kept: Uint8Array[] = [];
  for (let row = 0; row < open.header.count; row++) {
    const end = offsets[row + 1] ?? 0;
    const isImage = images.has(row);
    kept.push(open.body.subarray(isImage ? end - gap : offsets[row], end));
    if (isImage) lengths[row] = 0;
  }
  const body = Buffer.concat(kept);
  return {
    ...rest,
    header: { ...open.header, bodyBytes: body.length },
    columns: { ...open.columns, lengths },
    body,
  };
}

/**
 * Puts the images to where `withoutImages` took them from; `keepsFaces`: with their faces among the findings.
 */
export function withImages(
  filtered: SendableBatch,
  images: ReadonlyMap<number, CleanImage>,
  keepsFaces: boolean,
): SendableBatch {
  const { header, columns, body, annotations } = wholeBatch(filtered);
  const offsets = rowOffsets(header, columns);
  const lengths = columns.lengths.slice();
  const parts: Uint8Array[] = [];
  let from = 0;
  let bodyBytes = body.length;
  for (const [row, { bytes }] of images) {
    const at = offsets[row] ?? 0;
    parts.push(body.subarray(from, at), bytes);
    from = at;
    lengths[row] = bytes.length;
    bodyBytes += bytes.length;
  }
  parts.push(body.subarray(from));
  const { bodyCrc32: _, ...rest } = filtered;
  return {
    ...rest,
    header: { ...header, bodyBytes },
    columns: { ...columns, lengths },
    body: parts.filter(({ length }) => length > 0),
    annotations: keepsFaces ? withFaces(annotations, images) : annotations,
  };
}

function withFaces(
  annotations: SendableBatch["annotations"],
  images: ReadonlyMap<number, CleanImage>,
): SendableBatch["annotations"] {
  const { findings } = annotations;
  if (findings === undefined) return annotations;
  const all = [...findings.rows].map((row, at) => ({
    row,
    type: findings.types[at] ?? 0,
    start: findings.starts[at] ?? 0,
    length: findings.lengths[at] ?? 0,
  }));
  for (const [row, { faces }] of images) {
    for (const face of faces) all.push({ row, type: faceCode, ...packFaceBox(face) });
  }
  all.sort((a, b) => a.row - b.row);
  return {
    ...annotations,
    findings: {
      ...findings,
      rows: Uint32Array.from(all, ({ row }) => row),
      types: Uint8Array.from(all, ({ type }) => type),
      starts: Uint32Array.from(all, ({ start }) => start),
      lengths: Uint32Array.from(all, ({ length }) => length),
    },
  };
}
