export { obtainNatsServer } from "../broker/obtain-server.js";
export { cacheDir, manifestPath, resolveImageModels, resolveTextModel } from "../models/index.js";
export { type PreparedState, prepareState, resetState, streamBytes } from "./prepare-state.js";
export { type RunningLocal, runLocal, type RunLocalOptions } from "./run-local.js";
export { type LocalPorts, localPorts, type LocalSystem, renderServiceConfigs } from "./service-configs.js";
