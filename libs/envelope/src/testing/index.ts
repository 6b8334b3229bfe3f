export { type BatchToBuild, buildBatch, inlineBatch, textsOf } from "./builders.js";
