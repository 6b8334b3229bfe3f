export { type BodyPool, createBodyPool } from "./body-pool.js";
export { type BodyReader, type BodyReaderOptions, createBodyReader } from "./body-reader.js";
export {
  type BodyStore,
  type BodyStoreOptions,
  inlineBodyStore,
  openBodyStore,
  type PlacedBatch,
  travelsInline,
} from "./body-store.js";
export { type ReadBytes, type Reading, readingOf, tellReading } from "./reading.js";
