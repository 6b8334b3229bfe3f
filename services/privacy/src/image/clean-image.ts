import { CodedError } from "@millrace/errors";
import { type Box, blurBoxes, decodeImage, encodeImage, enlarged, fillBoxes } from "@millrace/images";
import { findFaces, type RunFaceModel } from "./find-faces.js";

/** An image as it may go on. */
export interface CleanImage {
  bytes: Uint8Array;
  /** What was blurred, in pixels of `bytes`: x, y, width and height of each, the surest first. */
  faces: Box[];
}

/** Chin, ears and hair stand out of what the model calls a face. */
const marginFactor = 1.3;
/** Looks after the first; one finds what the last one left, mostly nothing. */
const looksMax = 4;

/**
 * The picture alone, its faces gone: what is written was looked at again, until the model found no face in
 * it.
 *
 * @throws CodedError invalid_argument, deadline_exceeded (the image), internal (a face that stays one).
 */
export async function cleanImage(file: Uint8Array, run: RunFaceModel): Promise<CleanImage> {
  const pixels = await decodeImage(file);
  const faces: Box[] = [];
  let changed: Box[] | undefined;
  for (let look = 0; ; look++) {
    const seen = await findFaces(pixels, run, changed);
    const found = seen.map((face) => enlarged(face, marginFactor, pixels));
    if (found.length === 0) break;
    if (look > looksMax) {
      throw new CodedError("internal", "filter an image: a face stays one though it was blurred");
    }
    // A head without a face can still look like one: then its place is filled.
    if (look === 0) blurBoxes(pixels, found);
    else fillBoxes(pixels, found);
    if (look === 0) faces.push(...found);
    changed = found;
  }
  return { bytes: await encodeImage(pixels, pixels.format), faces };
}
