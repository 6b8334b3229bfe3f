export { type FileMap, mapFile, type MapOptions, openMap, whyNoMaps } from "./open-map.js";
