import type { Candidate, Detector, Trigger } from "./detector.js";
import { createDigitGroups, readDigitGroups } from "./digit-groups.js";
import { createFindingColumns, type Findings } from "./findings.js";
import { createPrefilter, tileBytes } from "./prefilter.js";
import { DIGIT, isClass, LETTER } from "./text-bytes.js";

/** Where the messages lie: `lengths[i]` bytes each, and after each `gapBytes` that belong to none. */
export interface Boundaries {
  lengths: ArrayLike<number>;
  /** 0 in PACKED framing, 1 in LINES framing. */
  gapBytes: 0 | 1;
}

export interface Scanner {
  /**
   * Finds personal data in a batch's body. The findings are the scanner's own memory and hold until its next scan.
   * What is found in a message depends on its bytes alone.
   */
  scan(body: Uint8Array, boundaries: Boundaries): Findings;
  /** Candidates and bytes that detectors looked at since the scanner was made; the prefilter's one pass is not in it. */
  readonly steps: number;
}

/** Digits that a bare number needs before any detector could take it (cards: ISO/IEC 7812 says 13 in practice). */
const bareDigitsMin = 13;
/** Fewest digits of anything that is found in joined groups: 1.1.1.1. */
const joinedDigitsMin = 4;
const plus = 0x2b;

/**
 * One pass of the prefilter over the body, a tile at a time, and the detectors only where it points. A scanner
 * reuses its memory, so it serves one scan at a time.
 */
export function createScanner({ detectors }: { detectors: readonly Detector[] }): Scanner {
  const prefilter = createPrefilter();
  const columns = createFindingColumns();
  const groups = createDigitGroups();
  const candidate: Candidate = {
    bytes: new Uint8Array(0),
    from: 0,
    to: 0,
    at: 0,
    trigger: "at_sign",
    groups,
    settled: 0,
    credentials: { start: 0, firstAt: 0, end: -1 },
    steps: 0,
  };
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
    for (const detector of on) detector.verify(candidate, columns);
  }

  function visitDigits(at: number): void {
    if (at < digitsSettled || onDigits.length === 0) return;
    const { bytes, from, to } = candidate;
    candidate.steps += readDigitGroups(groups, bytes, { from, to, at });
    digitsSettled = groups.ends[groups.count - 1] as number;
    const first = groups.starts[0] as number;
    const afterPlus = first > from && (bytes[first - 1] === plus || bytes[first - 2] === plus);
    const digitsMin = groups.count > 1 ? joinedDigitsMin : bareDigitsMin;
    if (groups.digits >= digitsMin || afterPlus) run(onDigits, "digits", first);
  }

  function visit(at: number): void {
    const byte = candidate.bytes[at] as number;
    candidate.steps++;
    if (isClass(byte, DIGIT)) return visitDigits(at);
    if (byte === 0x40) return run(onAtSign, "at_sign", at);
    if (isClass(byte, LETTER)) return run(onCountry, "country", at);
    if (byte === plus) {
      // "+(" is written too, before a country code or an area code.
      const next = candidate.bytes[at + 1] === 0x28 ? at + 2 : at + 1;
      if (next < candidate.to && isClass(candidate.bytes[next], DIGIT)) visitDigits(next);
      return;
    }
    if (at < colonsSettled) return;
    run(onColons, "colons", at);
    colonsSettled = candidate.settled;
  }

  /** In PACKED framing a run of digits may go on from the message before; the prefilter sees only where it began. */
  function visitStart({ bytes, from, to }: Candidate): void {
    if (from === 0 || from === to) return;
    if (isClass(bytes[from], DIGIT) && isClass(bytes[from - 1], DIGIT)) visitDigits(from);
  }

  function scan(body: Uint8Array, { lengths, gapBytes }: Boundaries): Findings {
    columns.reset();
    digitsSettled = 0;
    colonsSettled = 0;
    candidate.credentials.end = -1;
    // A plain view, also of a Buffer: the detectors' loops then see one kind of object.
    candidate.bytes = new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
    let row = -1;
    candidate.from = 0;
    candidate.to = -gapBytes;
    let rowEnd = 0;

    /** Goes on to the message that holds `at`, or past the last. */
    function advance(at: number): void {
      while (at >= rowEnd && row + 1 < lengths.length) {
        if (row >= 0) columns.closeRow(row, candidate.bytes, candidate.from);
        row++;
        candidate.from = candidate.to + gapBytes;
        candidate.to = candidate.from + (lengths[row] as number);
        rowEnd = candidate.to + gapBytes;
        if (gapBytes === 0) visitStart(candidate);
      }
    }

    for (let start = 0; start < body.length; start += tileBytes) {
      const count = prefilter.scanTile(candidate.bytes, start);
      for (let i = 0; i < count; i++) {
        const at = start + (prefilter.offsets[i] as number);
        if (at >= rowEnd) advance(at);
        if (at < candidate.to) visit(at);
      }
    }
    advance(body.length);
    if (row >= 0) columns.closeRow(row, candidate.bytes, candidate.from);
    candidate.bytes = new Uint8Array(0);
    return columns.findings;
  }

  return {
    scan,
    get steps(): number {
      return candidate.steps;
    },
  };
}

function triggeredBy(detectors: readonly Detector[], trigger: Trigger): Detector[] {
  return detectors.filter((detector) => detector.triggers.includes(trigger));
}
