/**
 * A thread that redacts bodies, one after the other:
 *
 *   pool ──redact{id, off, body, lengths, gapBytes, output}──► worker     body and output are shared memory
 *   worker ──redacted{id, …columns} | refused{id, error}──► pool          the columns are transferred
 *
 * Bodies that are transferred count anew as memory of who gets them, 15 MB each time: a collection for each
 * (measured: twice the CPU of a job).
 *
 * The main export is a type: this file is the entry of a worker and is only run.
 */
import { parentPort } from "node:worker_threads";
import { partsOf } from "@millrace/envelope";
import { type Code, CodedError, present } from "@millrace/errors";
import { crc32, crc32OfParts } from "@millrace/files";
import type { Findings } from "../../detect/scan/findings.js";
import { createScanner, type Scanner } from "../../detect/scan/scanner.js";
import { policyDetectors, policyWithout } from "../../policy/default-policy.js";
import { cutBody, isBetterCut, type RedactedColumns, redactBody } from "../../redact/redact-body.js";

export interface RedactJob {
  id: number;
  /** Detectors that are off, sorted. */
  off: readonly string[];
  body: Uint8Array;
  lengths: Uint32Array;
  gapBytes: 0 | 1;
  /** Where the redacted body goes, if it fits. */
  output: Uint8Array;
}

/** `crc32` is that of the redacted body; of none where nothing was found. */
export type Redacted = { crc32: number | undefined } & (
  | {
      /** Few enough, or none, so that the one who has the body cuts it without a copy. */
      findings: Findings;
    }
  | (RedactedColumns & {
      /** Bytes at the front of `output`, or a body that outgrew it. */
      body: number | Uint8Array;
    })
);

export type FromFilterWorker =
  | { type: "redacted"; id: number; redacted: Redacted }
  | { type: "refused"; id: number; code: Code; message: string };

const port = present(
  parentPort,
  "the port to the pool: filter-worker.js is the entry of a worker thread and",
);
const scanners = new Map<string, Scanner>();

function scannerFor(off: readonly string[]): Scanner {
  const name = off.join(",");
  const known = scanners.get(name);
  if (known !== undefined) return known;
  const scanner = createScanner({ detectors: policyDetectors(policyWithout(off)) });
  scanners.set(name, scanner);
  return scanner;
}

function redact({ off, body, lengths, gapBytes, output }: RedactJob): Redacted {
  const boundaries = { lengths, gapBytes };
  const findings = scannerFor(off).scan(body, boundaries);
  if (findings.count === 0) return { findings: ownFindings(findings), crc32: undefined };
  if (isBetterCut(body, findings)) {
    const sum = crc32OfParts(partsOf(cutBody(body, findings, boundaries).body));
    return { findings: ownFindings(findings), crc32: sum };
  }
  const { body: written, ...columns } = redactBody(body, findings, { ...boundaries, output });
  const isInPlace = written.buffer === output.buffer;
  return { ...columns, body: isInPlace ? written.length : written, crc32: crc32(written) };
}

/** The scanner's columns are its own and longer. */
function ownFindings({ count, types, rows, starts, ends }: Findings): Findings {
  return {
    count,
    types: types.slice(0, count),
    rows: rows.slice(0, count),
    starts: starts.slice(0, count),
    ends: ends.slice(0, count),
  };
}

/** Without a copy: each column has memory of its own. */
function memoryOf(redacted: Redacted): ArrayBuffer[] {
  const columns = Object.values("findings" in redacted ? redacted.findings : redacted);
  return columns.filter((value) => ArrayBuffer.isView(value)).map(({ buffer }) => buffer as ArrayBuffer);
}

port.on("message", (job: RedactJob) => {
  const { id } = job;
  try {
    const redacted = redact(job);
    const answer = { type: "redacted", id, redacted } satisfies FromFilterWorker;
    port.postMessage(answer, memoryOf(redacted));
  } catch (caught) {
    const { code, message } = CodedError.from(caught, "redact");
    port.postMessage({ type: "refused", id, code, message } satisfies FromFilterWorker);
  }
});
