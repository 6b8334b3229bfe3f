export { events } from "./events.js";
export { inParallel } from "./in-parallel.js";
export { mappedFiles } from "./mapped-files.js";
export type { Places } from "./places.js";
export { streamIngestion } from "./stream-ingestion.js";
export { textsAndImages } from "./texts-and-images.js";
