export { cacheDir, manifestPath } from "./cache-dir.js";
export { type PulledModel, type PullOptions, pullModels } from "./pull.js";
export { resolveImageModels, resolveModel } from "./resolve-model.js";
export { resolveTextModel } from "./resolve-text-model.js";
