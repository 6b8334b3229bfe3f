export { crc32, crc32OfParts } from "./checksum.js";
export { type ContentHash, contentHash, createContentHash } from "./content-hash.js";
export {
  type DirectoryCalls,
  directoryCalls,
  type FileCalls,
  fileCalls,
  isSystemError,
  openFile,
  type OpenMode,
  writeAll,
} from "./disk/disk-calls.js";
export { type FoundFile, type Scan, scanDirectory, type ScanLimits } from "./find/directory-scan.js";
export { fileError } from "./find/file-error.js";
export { compilePattern, type NamePattern } from "./find/glob.js";
export { createMapCache, type MapCache, type MappedFile } from "./map/map-cache.js";
export type { Native } from "./map/native.js";
export { type FileMap, mapFile, type MapOptions, native, openMap, whyNoMaps } from "./map/open-map.js";
export { readVerifiedFile } from "./verified-file.js";
