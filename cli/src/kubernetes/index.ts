export { helmPins, type HelmMajor } from "./helm-pin.js";
export { type Helm, obtainHelm } from "./obtain-helm.js";
export { obtainSchemas, schemaPin } from "./obtain-schemas.js";
