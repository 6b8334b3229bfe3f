export { createMapCache, type MapCache, type MappedFile } from "./map/map-cache.js";
export type { Native } from "./map/native.js";
export { type FileMap, mapFile, type MapOptions, native, openMap, whyNoMaps } from "./map/open-map.js";
