/**
 * A thread that redacts bodies, one after the other:
 *
 *   pool ──redact{id, off, body, lengths, gapBytes, output}──► worker     body and output are shared memory
 *   worker ──redacted{id, …columns} | refused{id, error}──► pool          the columns are transferred
 *
 * The main export is a type: this file is the entry of a worker and is only run.
 */
import { parentPort } from "node:worker_threads";
import { type Code, CodedError, present } from "@millrace/errors";
import { crc32 } from "@millrace/files";
import { createScanner, type Scanner } from "../../detect/scan/scanner.js";
import { policyDetectors, policyWithout } from "../../policy/default-policy.js";
import { redactBody } from "../../redact/redact-body.js";

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

export interface Redacted {
  /** Bytes at the front of `output`, or a body that outgrew it; undefined where nothing was found. */
  body: number | Uint8Array | undefined;
  /** Of the redacted body; undefined where nothing was found. */
  crc32: number | undefined;
  lengths: Uint32Array;
  rows: Uint32Array;
  types: Uint8Array;
  starts: Uint32Array;
  tokenLengths: Uint32Array;
}

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
  const redacted = redactBody(body, scannerFor(off).scan(body, boundaries), { ...boundaries, output });
  const { rows, types, starts, tokenLengths } = redacted;
  const columns = { lengths: redacted.lengths, rows, types, starts, tokenLengths };
  if (redacted.body === body) return { body: undefined, crc32: undefined, ...columns };
  const isInPlace = redacted.body.buffer === output.buffer;
  const sum = crc32(redacted.body);
  return { body: isInPlace ? redacted.body.length : redacted.body, crc32: sum, ...columns };
}

port.on("message", (job: RedactJob) => {
  const { id } = job;
  try {
    const redacted = redact(job);
    const { lengths, rows, types, starts, tokenLengths } = redacted;
    const columns = [lengths, rows, types, starts, tokenLengths].map(({ buffer }) => buffer as ArrayBuffer);
    port.postMessage({ type: "redacted", id, redacted } satisfies FromFilterWorker, columns);
  } catch (caught) {
    const { code, message } = CodedError.from(caught, "redact");
    port.postMessage({ type: "refused", id, code, message } satisfies FromFilterWorker);
  }
});
