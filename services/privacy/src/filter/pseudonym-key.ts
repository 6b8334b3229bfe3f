import { readFile } from "node:fs/promises";
import { CodedError } from "@millrace/errors";

export async function readPseudonymKey(path: string): Promise<Uint8Array> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new CodedError("not_found", `read pseudonym key ${path}: cannot be read`, {
      field: "pseudonymKeyFile",
      remedy: "Name a file that holds 64 hex digits.",
      cause,
    });
  });
  if (!/^[0-9a-f]{64}\s*$/i.test(text)) {
    throw new CodedError("invalid_argument", `read pseudonym key ${path}: not 64 hex digits`, {
      field: "pseudonymKeyFile",
      remedy: "Write 32 random bytes to it as hex.",
    });
  }
  return Buffer.from(text.trim(), "hex");
}
