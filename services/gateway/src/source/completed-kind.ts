import { CodedError } from "@millrace/errors";
import type { Source } from "@millrace/proto/source";

/** Settings of a kind with their defaults, and the parts of them that the source's id follows from. */
export interface CompletedKind {
  kind: NonNullable<Source["kind"]>;
  identity: string[];
}

export function invalid(field: string, problem: string, remedy: string): CodedError {
  return new CodedError("invalid_argument", `check source: ${field} ${problem}`, { field, remedy });
}
