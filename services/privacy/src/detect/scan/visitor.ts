import type { Candidate, Detector, Trigger } from "./detector.js";
import { createDigitGroups, readDigitGroups } from "./digit-groups.js";
import type { FindingSink } from "./findings.js";
import { DIGIT, isClass, LETTER } from "./text-bytes.js";

/** Shows candidates to the detectors that ask for them, each spot once. */
export interface Visitor {
  readonly candidate: Candidate;
  /** Begins a scan of `bytes`. */
  open(bytes: Uint8Array): void;
  /** Goes on to the message in [from, to). */
  enter(from: number, to: number): void;
  /** Looks at what the prefilter pointed at; offsets come in order. */
  visit(at: number): void;
}

/** Digits that a bare number needs before any detector could take it: the shortest card. */
const bareDigitsMin = 13;
/** Fewest digits of anything that is found in joined groups: 1.1.1.1. */
const joinedDigitsMin = 4;
const plus = 0x2b;
const open = 0x28;
const atSign = 0x40;

export function createVisitor(detectors: readonly Detector[], found: FindingSink): Visitor {
  const candidate = createCandidate();
  const { groups } = candidate;
  const onAtSign = triggeredBy(detectors, "at_sign");
  const onDigits = triggeredBy(detectors, "digits");
  const onColons = triggeredBy(detectors, "colons");
  const onCountry = triggeredBy(detectors, "country");
  // Offsets before which a walk of the same kind has seen everything.
  let digitsSettled = 0;
  let colonsSettled = 0;

  function run(on: readonly Detector[], trigger: Trigger, at: number): void {
    candidate.at = at;
    candidate.trigger = trigger;
    candidate.settled = 0;
    for (const detector of on) detector.verify(candidate, found);
  }

  function visitDigits(at: number): void {
    if (at < digitsSettled || onDigits.length === 0) return;
    const { bytes, from, to } = candidate;
    candidate.steps += readDigitGroups(groups, bytes, { from, to, at });
    digitsSettled = groups.ends[groups.count - 1] as number;
    const first = groups.starts[0] as number;
    const isAfterPlus = first > from && (bytes[first - 1] === plus || bytes[first - 2] === plus);
    const digitsMin = groups.count > 1 ? joinedDigitsMin : bareDigitsMin;
    if (groups.digits >= digitsMin || isAfterPlus) run(onDigits, "digits", first);
  }

  return {
    candidate,
    open(bytes): void {
      candidate.bytes = bytes;
      candidate.credentials.end = -1;
      digitsSettled = 0;
      colonsSettled = 0;
    },
    enter(from, to): void {
      candidate.from = from;
      candidate.to = to;
      // A run of digits may go on from the message before, and the prefilter sees only where it began.
      const { bytes } = candidate;
      if (from === 0 || from >= to || !isClass(bytes[from - 1], DIGIT | LETTER)) return;
      if (isClass(bytes[from], DIGIT)) visitDigits(from);
      // Nor does it see a country's code behind a word that the message before ends with.
      else if (isCountryAt(bytes, from, to)) run(onCountry, "country", from);
    },
    visit(at): void {
      const { bytes, to } = candidate;
      const byte = bytes[at] as number;
      candidate.steps++;
      if (isClass(byte, DIGIT)) return visitDigits(at);
      if (byte === atSign) return run(onAtSign, "at_sign", at);
      if (isClass(byte, LETTER)) return run(onCountry, "country", at);
      if (byte === plus) {
        const next = bytes[at + 1] === open ? at + 2 : at + 1;
        if (next < to && isClass(bytes[next], DIGIT)) visitDigits(next);
        return;
      }
      if (at < colonsSettled) return;
      run(onColons, "colons", at);
      colonsSettled = candidate.settled;
    },
  };
}

/** Two letters and two digits, as an account number begins. */
function isCountryAt(bytes: Uint8Array, at: number, to: number): boolean {
  return (
    at + 3 < to &&
    isClass(bytes[at], LETTER) &&
    isClass(bytes[at + 1], LETTER) &&
    isClass(bytes[at + 2], DIGIT) &&
    isClass(bytes[at + 3], DIGIT)
  );
}

function createCandidate(): Candidate {
  return {
    bytes: new Uint8Array(0),
    from: 0,
    to: 0,
    at: 0,
    trigger: "at_sign",
    groups: createDigitGroups(),
    settled: 0,
    credentials: { start: 0, firstAt: 0, end: -1 },
    steps: 0,
  };
}

function triggeredBy(detectors: readonly Detector[], trigger: Trigger): Detector[] {
  return detectors.filter((detector) => detector.triggers.includes(trigger));
}
