import type { FindingType } from "../finding-type.js";
import type { DigitGroups } from "./digit-groups.js";
import type { FindingSink } from "./findings.js";

/**
 * What the prefilter can point at:
 * - `at_sign`: an `@`;
 * - `digits`: digits joined by separators, 13 or more digits in a row, or digits after a `+`. The scanner has
 *   split the spot into groups once for all detectors;
 * - `colons`: `::`, or two colons with 1 to 4 letters or digits between;
 * - `country`: two letters and two digits in a row, as an IBAN begins.
 */
export type Trigger = "at_sign" | "digits" | "colons" | "country";

/**
 * One candidate inside one message. A single instance is reused for the whole scan: the hot path makes no
 * object. A detector reads bytes only in [from, to), so that a finding never depends on a neighbouring
 * message.
 */
export interface Candidate {
  bytes: Uint8Array;
  /** The message's first byte and the byte after its last. */
  from: number;
  to: number;
  /** Where the prefilter points: the `@`, the last colon seen, the first letter, a digit. */
  at: number;
  trigger: Trigger;
  /** Of `digits` only: the groups around `at`. */
  readonly groups: DigitGroups;
  /** A detector that walked a whole run sets it: triggers before this offset say nothing new. */
  settled: number;
  /** Of `at_sign` only: the URL's `user:password` met last, its first `@` and the `@` that ends it. */
  readonly credentials: { start: number; firstAt: number; end: number };
  /** Bytes looked at so far, kept so that tests and metrics see work in proportion to input. */
  steps: number;
}

/** Looks at candidates and pushes spans. The version is part of the policy hash: change it with the rules. */
export interface Detector {
  readonly type: FindingType;
  readonly version: number;
  readonly triggers: readonly Trigger[];
  verify(candidate: Candidate, found: FindingSink): void;
}
