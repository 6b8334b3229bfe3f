export * from "./ids.js";
export * from "./limits.js";
export * from "./open-batch.js";
export * from "./passport.js";
export * from "./select-rows.js";
export * from "./intervals.js";
export * from "./half-float.js";
