export { AssertionError, assert, present } from "./assert.js";
export { type Code, codeOf, codes } from "./code.js";
export { CodedError, type ErrorDetails, shownReason } from "./coded-error.js";
export { type Disposition, disposition } from "./disposition.js";
