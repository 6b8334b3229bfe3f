import { CodedError } from "@millrace/errors";
import type { FileBytes } from "../file-reader.js";
import { createLineFramer, type FrameLimits, type LineFramer } from "../lines/line-framer.js";
import type { TrackedFile } from "../tracked-file.js";
import { createCsvFramer, readHeader } from "./csv-framer.js";
import { decodedSize, isGzip, openGzip } from "./gzip-bytes.js";
import { createWholeFramer, wholeBytesMax } from "./whole-framer.js";

/** How a file's bytes become messages. */
export type FileFormat =
  | { kind: "lines" }
  /** `delimiter`: a byte. */
  | { kind: "csv"; delimiter: number }
  | { kind: "whole" };

/** What positions of a file count: its bytes, or those that it decodes to. */
export interface Content {
  bytes: FileBytes;
  size: number;
  close(): void;
}

export async function openContent(
  file: TrackedFile,
  opened: { handle: FileBytes; storedBytes: number; repeat: number; signal: AbortSignal },
): Promise<Content> {
  const { handle, storedBytes, repeat, signal } = opened;
  if (!isGzip(file.name)) return { bytes: handle, size: storedBytes * repeat, close: () => undefined };
  if (repeat > 1) {
    throw new CodedError("failed_precondition", `${file.name} is compressed, and would be read repeatedly`, {
      field: "source.file.repeat",
      remedy: "Put it there decoded.",
    });
  }
  const size = await decodedSize(handle, storedBytes, signal).catch((caught: unknown) => {
    const { code, message, remedy } = CodedError.from(caught, "decode");
    throw new CodedError(code, `${file.name}: ${message}`, { ...(remedy && { remedy }), cause: caught });
  });
  if (file.storedBytes === storedBytes) file.size = size;
  const bytes = openGzip(handle, storedBytes);
  return { bytes, size, close: bytes.close };
}

/** Of rows that are written anew, which may make them longer, fewer are held at once. */
const csvBytesMax = 1024 * 1024;

export const readBound = ({ kind }: FileFormat): { readBytesMax?: number } =>
  kind === "csv" ? { readBytesMax: csvBytesMax } : {};

export const messageBytesMax = ({ kind }: FileFormat, limits: FrameLimits): number =>
  kind === "whole" ? wholeBytesMax : limits.messageBytesMax;

/** Undefined: what it begins with is not complete. */
export async function createFramer(
  format: FileFormat,
  at: { limits: FrameLimits; position: number; size: number; bytes: FileBytes },
): Promise<LineFramer | undefined> {
  const { limits, position, size, bytes } = at;
  if (format.kind === "lines") return createLineFramer(limits, position);
  if (format.kind === "whole") return createWholeFramer(limits, position);
  const { delimiter } = format;
  const header = await readHeader(bytes, { size, delimiter });
  if (header === undefined) return undefined;
  const bodyBytesMax = Math.min(limits.bodyBytesMax, csvBytesMax);
  return createCsvFramer({ ...limits, bodyBytesMax }, { position, header, delimiter });
}
