/** Image files for tests: a photo, and files that hide or claim something. */
export {
  catPhoto,
  coffeePhoto,
  enlargedPhoto,
  facePhoto,
  framedPhoto,
  type PngParts,
  pngChunk,
  pngFile,
  turnedPhoto,
  withCanaries,
} from "./files.js";
