import type { DetectedObject, Scene } from "@millrace/proto/message";
import type { OpenBatch } from "../open-batch.js";

/** What was found in each image of a batch, as the public API shows it. */
export interface ImageViews {
  objects: ReadonlyMap<number, DetectedObject[]>;
  scenes: ReadonlyMap<number, Scene>;
}

export function imageViews({ annotations }: Pick<OpenBatch, "annotations">): ImageViews {
  const found = new Map<number, DetectedObject[]>();
  const { objects, scenes } = annotations;
  for (const [at, row] of objects?.rows.entries() ?? []) {
    const [x = 0, y = 0, width = 0, height = 0] = objects?.boxes.slice(4 * at, 4 * at + 4) ?? [];
    const score = objects?.scores[at] ?? 0;
    const object = {
      label: objects?.labels[at] ?? "",
      score,
      x,
      y,
      width,
      height,
      model: objects?.model ?? "",
    };
    const known = found.get(row);
    if (known === undefined) found.set(row, [object]);
    else known.push(object);
  }
  const shown = new Map<number, Scene>();
  for (const [at, row] of scenes?.rows.entries() ?? []) {
    shown.set(row, {
      label: scenes?.labels[at] ?? "",
      score: scenes?.scores[at] ?? 0,
      model: scenes?.model ?? "",
    });
  }
  return { objects: found, scenes: shown };
}
