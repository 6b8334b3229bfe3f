import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { CodedError } from "@millrace/errors";

const remedy = "Run: npx millrace models pull";

/**
 * The bytes of a model file, checked before anything parses them. What is used later is these bytes and never
 * the path again, so that a file swapped in between changes nothing.
 *
 * @throws CodedError failed_precondition, naming the file, the expected sha256 and the command that fetches
 * it.
 */
export async function readVerifiedFile(path: string, sha256: string): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new CodedError("failed_precondition", `model file ${path} (sha256 ${sha256}) could not be read`, {
      remedy,
      cause,
    });
  }
  const found = createHash("sha256").update(bytes).digest("hex");
  if (found === sha256) return bytes;
  throw new CodedError("failed_precondition", `model file ${path} has sha256 ${found}, expected ${sha256}`, {
    remedy,
  });
}
