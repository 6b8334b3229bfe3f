import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { CodedError } from "@millrace/errors";
import { z } from "zod";

const tokenFile = z.strictObject({
  tokens: z.array(
    z.strictObject({
      /** Who has it, for logs. */
      name: z.string().min(1).max(128),
      /** SHA-256 of the token in hex; the token itself is in no file of ours. */
      sha256: z.string().regex(/^[0-9a-fA-F]{64}$/, "must be 64 hex digits"),
      /** `privacy` may exempt streams from the filter. */
      role: z.enum(["user", "privacy"]),
    }),
  ),
});

export interface Caller {
  name: string;
  role: "user" | "privacy";
}

export interface TokenTable {
  /** What was read, to tell a change. */
  text: string;
  callerOf(token: string): Caller | undefined;
}

/** Errors name the file and what is wrong with it, never what is in it. */
export function readTokenFile(path: string): TokenTable {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new CodedError("not_found", `read auth.tokensFile: ${path} cannot be read`, {
      field: "auth.tokensFile",
      remedy: "Name a file that gateway may read.",
      cause,
    });
  }
  const known = parse(text, path).map(({ sha256, name, role }) => ({
    hash: Buffer.from(sha256, "hex"),
    caller: { name, role },
  }));
  return {
    text,
    callerOf: (token) => {
      const asked = createHash("sha256").update(token).digest();
      // All are compared, each in the same time, so that how long it takes tells nothing.
      const found = known.filter(({ hash }) => timingSafeEqual(hash, asked));
      return found[0]?.caller;
    },
  };
}

function parse(text: string, path: string): z.infer<typeof tokenFile>["tokens"] {
  const refused = (what: string): CodedError =>
    new CodedError("invalid_argument", `read auth.tokensFile: ${path}: ${what}`, {
      field: "auth.tokensFile",
      remedy: 'Write {"tokens":[{"name":"app","sha256":"<hex of the token>","role":"user"}]}.',
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own words may quote the file.
    throw refused("is no JSON");
  }
  const parsed = tokenFile.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw refused(`${issue?.path.join(".") || "(root)"}: ${issue?.message ?? "refused"}`);
  }
  const { tokens } = parsed.data;
  const hashes = new Set(tokens.map(({ sha256 }) => sha256.toLowerCase()));
  if (hashes.size < tokens.length) throw refused("one token is listed twice");
  return tokens;
}
