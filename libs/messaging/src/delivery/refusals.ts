import type { Code } from "@millrace/errors";

/**
 * Codes that say for sure that nothing was stored. After any other one a message may refer to the body:
 * freed, it would be read as damaged.
 */
const refusals: ReadonlySet<Code> = new Set<Code>([
  "resource_exhausted",
  "not_found",
  "invalid_argument",
  "failed_precondition",
  "permission_denied",
  "data_loss",
]);

export const isSureRefusal = (code: Code): boolean => refusals.has(code);
