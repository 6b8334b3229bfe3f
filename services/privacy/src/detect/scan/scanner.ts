import type { Detector } from "./detector.js";
import { createFindingColumns, type Findings } from "./findings.js";
import { createPrefilter, tileBytes } from "./prefilter.js";
import { createVisitor } from "./visitor.js";

/** Where the messages lie: `lengths[i]` bytes each, and after each `gapBytes` that belong to none. */
export interface Boundaries {
  lengths: ArrayLike<number>;
  /** 0 in PACKED framing, 1 in LINES framing. */
  gapBytes: 0 | 1;
}

export interface Scanner {
  /**
   * Finds personal data in a batch's body. The findings are the scanner's own memory and hold until its next
   * scan. What is found in a message depends on its bytes alone.
   */
  scan(body: Uint8Array, boundaries: Boundaries): Findings;
  /**
   * Candidates and bytes that detectors looked at since the scanner was made; the prefilter's one pass is
   * not in it.
   */
  readonly steps: number;
}

const noBytes = new Uint8Array(0);

/**
 * One pass of the prefilter over the body, a tile at a time, and the detectors only where it points. A
 * scanner reuses its memory, so it serves one scan at a time.
 */
export function createScanner({ detectors }: { detectors: readonly Detector[] }): Scanner {
  const prefilter = createPrefilter();
  const columns = createFindingColumns();
  const visitor = createVisitor(detectors, columns);
  const { candidate } = visitor;
  let row = -1;
  let rowEnd = 0;

  /** Goes on to the message that holds `at`, or to the last. */
  function advance(at: number, { lengths, gapBytes }: Boundaries): void {
    while (at >= rowEnd && row + 1 < lengths.length) {
      closeRow();
      row++;
      const from = rowEnd;
      const to = from + (lengths[row] as number);
      rowEnd = to + gapBytes;
      visitor.enter(from, to);
    }
  }

  function closeRow(): void {
    if (row >= 0) columns.closeRow(row, candidate.bytes, candidate.from);
  }

  function scan(body: Uint8Array, boundaries: Boundaries): Findings {
    // A plain view, also of a Buffer: the detectors' loops then see one kind of object.
    const bytes = new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
    columns.reset();
    visitor.open(bytes);
    row = -1;
    rowEnd = 0;
    for (let start = 0; start < bytes.length; start += tileBytes) {
      const count = prefilter.scanTile(bytes, start);
      for (let i = 0; i < count; i++) {
        const at = start + (prefilter.offsets[i] as number);
        if (at >= rowEnd) advance(at, boundaries);
        if (at < candidate.to) visitor.visit(at);
      }
    }
    advance(bytes.length, boundaries);
    closeRow();
    visitor.open(noBytes);
    return columns.findings;
  }

  return {
    scan,
    get steps(): number {
      return candidate.steps;
    },
  };
}
