import { type Body, type OpenBatch, type SendableBatch, stride } from "@millrace/envelope";
import {
  cutBody,
  isBetterCut,
  type RedactedBody,
  type RedactedColumns,
  redactBody,
} from "../redact/redact-body.js";
import { filterNames } from "./filter-names.js";
import type { Filter } from "./filters.js";
import type { FilterPool } from "./pool/filter-pool.js";

/** Memory for redacted bodies; `createBodyPool` of libs/segments is one. */
export interface Bodies {
  take(bytes: number): Uint8Array;
  give(view: Uint8Array): void;
}

/** A redacted body and, where that is known already, its CRC-32. */
export interface Redaction extends RedactedColumns {
  body: Body;
  bodyBytes: number;
  crc32?: number | undefined;
}

/** How a body is redacted: by this thread or by another. */
export type RedactOpen = (filter: Filter, open: OpenBatch) => Redaction | Promise<Redaction>;

/** The batch without personal data, and where it was. Positions and ids stay: they were fixed before. */
export async function filterOpenBatch(
  filter: Filter,
  open: OpenBatch,
  redact: RedactOpen,
): Promise<SendableBatch> {
  const redacted = await redact(filter, open);
  const names = filterNames(filter, open.columns);
  const crc32 = redacted.body === open.body ? open.bodyCrc32 : redacted.crc32;
  return {
    header: { ...open.header, bodyBytes: redacted.bodyBytes },
    columns: {
      ...open.columns,
      lengths: redacted.lengths,
      sourceIds: names.sourceIds,
      attributes: names.attributes,
    },
    body: redacted.body,
    ...(crc32 === undefined ? {} : { bodyCrc32: crc32 }),
    annotations: {
      ...open.annotations,
      findings: {
        rows: redacted.rows,
        types: redacted.types,
        starts: redacted.starts,
        lengths: redacted.tokenLengths,
        nameRows: names.rows,
        nameTypes: names.types,
        omittedRows: [],
        omittedCounts: [],
      },
    },
    passport: open.passport,
  };
}

/** On this thread. */
export function redactHere(pool: Bodies): RedactOpen {
  return (filter, { header, columns, body }) => {
    const boundaries = { lengths: columns.lengths, gapBytes: stride(header.framing) };
    const findings = filter.scanner.scan(body, boundaries);
    if (isBetterCut(body, findings)) return cutBody(body, findings, boundaries);
    const output = pool.take(body.length);
    const redacted = redactBody(body, findings, { ...boundaries, output });
    // It may have grown out of the memory that was meant for it.
    if (redacted.body.buffer !== output.buffer) pool.give(output);
    return withBytes(redacted);
  };
}

const withBytes = (redacted: RedactedBody & Pick<Redaction, "crc32">): Redaction => ({
  ...redacted,
  bodyBytes: redacted.body.length,
});

/** On a thread of the pool, of which a stream may use `threads` at once. */
export function redactInThreads(pool: FilterPool, memory: Bodies, threads: number): RedactOpen {
  return async (filter, { header, columns, body }) => {
    // What is mapped or came over a socket can only be copied to another thread: once, into shared memory.
    const input = memory.take(body.length).subarray(0, body.length);
    const output = memory.take(body.length);
    input.set(body);
    const boundaries = { lengths: columns.lengths, gapBytes: stride(header.framing) };
    const job = { off: filter.off, body: input, ...boundaries, output };
    // Where it fails, neither is used again: a thread that is being ended may still write.
    const redacted = await pool.redact(`${header.tenant}/${header.stream}`, threads, job);
    memory.give(input);
    if ("findings" in redacted) {
      memory.give(output);
      return { ...cutBody(body, redacted.findings, boundaries), crc32: redacted.crc32 };
    }
    const { body: written } = redacted;
    if (typeof written === "number") return withBytes({ ...redacted, body: output.subarray(0, written) });
    memory.give(output);
    return withBytes({ ...redacted, body: written });
  };
}
