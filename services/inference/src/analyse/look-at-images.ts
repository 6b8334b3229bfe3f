import { CodedError } from "@millrace/errors";
import { findingName, imageWishes, type OpenBatch, rowKind, rowOffsets } from "@millrace/envelope";
import { Kind, type Objects, type Scenes } from "@millrace/proto/batch";
import type { Enrichments } from "@millrace/proto/stream";
import type { ImageModelInfo } from "../image/image-entry.js";
import type { ImagePool } from "../image/image-pool.js";
import type { Seen } from "../image/image-worker.js";

/** What the images of a batch show. Columns are absent where nobody asked for them. */
export interface LookedAt {
  objects: Objects | undefined;
  scenes: Scenes | undefined;
  /** Images that can't be looked at, however often it is tried. */
  failures: { row: number; error: CodedError }[];
  /** That were used. */
  models: ImageModelInfo[];
}

export interface LookOptions {
  enrichments: Enrichments | undefined;
  signal: AbortSignal;
  /** Called after each image: it is slow, not stuck. */
  goesOn(): void;
}

/** One after the other: there is one worker, and what waits for it is memory. */
export async function lookAtImages(
  open: OpenBatch,
  pool: ImagePool,
  { enrichments, signal, goesOn }: LookOptions,
): Promise<LookedAt> {
  const wishOf = imageWishes(open.columns, enrichments);
  const offsets = rowOffsets(open.header, open.columns);
  const faces = rowsWithFaces(open);
  const seen: RowSeen[] = [];
  const failures: LookedAt["failures"] = [];
  for (let row = 0; row < open.header.count; row++) {
    if (rowKind(open.columns, row) !== Kind.KIND_IMAGE) continue;
    const wish = wishOf(row);
    if (!wish.objects && !wish.scene) continue;
    const from = offsets[row] as number;
    const image = open.body.subarray(from, from + (open.columns.lengths[row] as number));
    try {
      seen.push({ row, ...(await pool.look({ image, ...wish, hasFace: faces.has(row) }, signal)) });
    } catch (caught) {
      const error = CodedError.from(caught, "look at an image");
      if (passes(error)) throw error;
      failures.push({ row, error: hopeless(error) });
    }
    goesOn();
  }
  const [detector] = seen.flatMap(({ objects }) => objects?.model ?? []);
  const [judge] = seen.flatMap(({ scene }) => scene?.model ?? []);
  return {
    objects: detector && objectsOf(detector.name, seen),
    scenes: judge && scenesOf(judge.name, seen),
    failures,
    models: [detector, judge].filter((model) => model !== undefined),
  };
}

interface RowSeen extends Seen {
  row: number;
}

/** Whether another try may help. */
function passes({ code }: CodedError): boolean {
  return code === "canceled" || code === "unavailable" || code === "internal" || code === "unknown";
}

/** An image that takes too long takes too long each time: its code would have it waited for. */
function hopeless(error: CodedError): CodedError {
  if (error.code !== "deadline_exceeded") return error;
  return new CodedError("invalid_argument", error.message, { cause: error });
}

function rowsWithFaces({ annotations: { findings } }: OpenBatch): ReadonlySet<number> {
  const rows = new Set<number>();
  for (const [at, row] of findings?.rows.entries() ?? []) {
    if (findingName(findings?.types[at] ?? 0) === "FACE") rows.add(row);
  }
  return rows;
}

function objectsOf(model: string, seen: readonly RowSeen[]): Objects {
  const found = seen.flatMap(({ row, objects }) =>
    (objects?.found ?? []).map((object) => ({ row, ...object })),
  );
  return {
    model,
    rows: found.map(({ row }) => row),
    labels: found.map(({ label }) => label),
    scores: found.map(({ score }) => score),
    boxes: found.flatMap(({ x, y, width, height }) => [x, y, width, height]),
  };
}

function scenesOf(model: string, seen: readonly RowSeen[]): Scenes {
  const judged = seen.flatMap(({ row, scene }) =>
    scene?.label === undefined ? [] : [{ row, ...scene.label }],
  );
  return {
    model,
    rows: judged.map(({ row }) => row),
    labels: judged.map(({ label }) => label),
    scores: judged.map(({ score }) => score),
  };
}
