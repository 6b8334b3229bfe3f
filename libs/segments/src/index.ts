export { type BodyPool, createBodyPool } from "./body-pool.js";
export {
  type BodyReader,
  type BodyReaderOptions,
  createBodyReader,
  keepReader,
  type ReadDirs,
} from "./body-reader.js";
export {
  inferredFolder,
  type BodyStore,
  type BodyStoreOptions,
  type LeasingBodyStore,
  type LeasingOptions,
  openBodyStore,
  openLeasingBodyStore,
} from "./body-store.js";
export { type ReadBytes, type Reading, readingOf, tellReading } from "./reading.js";
export {
  createLeasedWriter,
  type GrantedLease,
  inlineWriter,
  type LeaseClient,
  type LeasedWriter,
  type LeasedWriterOptions,
} from "./lease/leased-writer.js";
export type { LeaseKey, SegmentLeases } from "./lease/segment-leases.js";
export { type PlacedBatch, travelsInline } from "./placed-batch.js";
