import { CodedError } from "@millrace/errors";

/** An image at fault. What the decoder said is left out: it may quote the file. */
export function refused(reason: string, remedy: string): CodedError {
  return new CodedError("invalid_argument", `read an image: ${reason}`, { field: "image", remedy });
}
