import { open, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { CodedError } from "@millrace/errors";
import { secretName } from "@millrace/proto";
import type { Value } from "@millrace/proto/source";

/**
 * Secrets by name: a setting says `{ secret: "feed-token" }`, and the value lies in a file of that name in
 * the operator's directory. It is read at each use, so a renewed one counts from the next connection on.
 */
export interface Secrets {
  /** The value of a setting: its text, or what the secret's file holds. */
  valueOf(value: Value | undefined, field: string): Promise<string>;
}

/** 64 KiB holds a chain of certificates; a token is far smaller. */
const secretBytesMax = 64 * 1024;

export function createSecrets({ dir }: { dir: string | undefined }): Secrets {
  return {
    valueOf: async (value, field) => {
      if (value?.kind === undefined) {
        const problem = "has neither a text nor a secret";
        throw refused("invalid_argument", field, { problem, remedy: "Give one of the two." });
      }
      const { kind } = value;
      return kind.$case === "text" ? kind.value : readSecret(dir, kind.value, field);
    },
  };
}

async function readSecret(dir: string | undefined, name: string, field: string): Promise<string> {
  if (!secretName.test(name)) {
    const remedy = "Name a file in the operator's directory of secrets: letters, digits, _, - and dots.";
    throw refused("invalid_argument", field, { problem: "names no secret", remedy });
  }
  if (dir === undefined) {
    const remedy = "Let the operator set secretsDir in the service's config.";
    throw refused("failed_precondition", field, {
      problem: `names the secret ${name}, but there are none`,
      remedy,
    });
  }
  const bytes = await readBounded(dir, name).catch((cause: unknown) => {
    // The path stays out: whoever reads the source's status need not know the operator's directories.
    const remedy = "Put it into the operator's directory of secrets, readable for the service.";
    throw refused("not_found", field, {
      problem: `names the secret ${name}, which cannot be read`,
      remedy,
      cause,
    });
  });
  if (bytes === undefined) {
    const remedy = `Keep it at 1 to ${secretBytesMax} bytes of UTF-8 without NUL.`;
    throw refused("failed_precondition", field, {
      problem: `names the secret ${name}, which cannot be used`,
      remedy,
    });
  }
  return bytes;
}

/** Undefined: too long, empty or not text. Mounted secrets are links, but inside of the directory. */
async function readBounded(dir: string, name: string): Promise<string | undefined> {
  const [home, path] = await Promise.all([realpath(dir), realpath(join(dir, name))]);
  if (!path.startsWith(home + sep)) throw new Error("leads out of the directory");
  const handle = await open(path, "r");
  try {
    if (!(await handle.stat()).isFile()) throw new Error("is not a file");
    const bytes = Buffer.alloc(secretBytesMax + 1);
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
    if (bytesRead > secretBytesMax) return undefined;
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, bytesRead));
    // Editors and shells end a file with a line feed that is no part of the secret.
    const value = text.replace(/\r?\n$/, "");
    return value === "" || value.includes("\0") ? undefined : value;
  } catch (caught) {
    if (caught instanceof TypeError) return undefined;
    throw caught;
  } finally {
    await handle.close();
  }
}

function refused(
  code: "invalid_argument" | "failed_precondition" | "not_found",
  field: string,
  { problem, remedy, cause }: { problem: string; remedy: string; cause?: unknown },
): CodedError {
  return new CodedError(code, `read ${field}: it ${problem}`, { field, remedy, cause });
}
