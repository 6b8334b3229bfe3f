import type { ImageFeatures } from "@millrace/proto/message";
import type { Enrichments } from "@millrace/proto/stream";
import type { OpenColumns } from "../open-columns.js";

/** What is to be looked for in an image. */
export interface ImageWish {
  objects: boolean;
  scene: boolean;
}

const bits = { objects: 1, noObjects: 2, scene: 4, noScene: 8 } as const;

/** As a column holds it; 0: its client left it to the stream. */
export function encodeImageWish(features: ImageFeatures | undefined): number {
  const { objectDetection, sceneAnalysis } = features ?? {};
  let wish = 0;
  if (objectDetection !== undefined) wish |= objectDetection ? bits.objects : bits.noObjects;
  if (sceneAnalysis !== undefined) wish |= sceneAnalysis ? bits.scene : bits.noScene;
  return wish;
}

/** Of each row, were it an image: what its client said goes before what the stream says. */
export function imageWishes(
  { imageRows, imageWishes: wishes }: Pick<OpenColumns, "imageRows" | "imageWishes">,
  enrichments: Enrichments | undefined,
): (row: number) => ImageWish {
  const usual = { objects: enrichments?.objects ?? false, scene: enrichments?.scene ?? false };
  const byRow = new Map(imageRows.map((row, at) => [row, wishes[at] ?? 0]));
  return (row) => {
    const wish = byRow.get(row) ?? 0;
    return {
      objects: (wish & bits.objects) !== 0 || (usual.objects && (wish & bits.noObjects) === 0),
      scene: (wish & bits.scene) !== 0 || (usual.scene && (wish & bits.noScene) === 0),
    };
  };
}
