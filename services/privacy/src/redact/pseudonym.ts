import { createHmac } from "node:crypto";

/** 128 bits: no two names of a tenant meet by chance. */
const hexDigits = 32;

/**
 * A name that stands for a personal one: `p-` and the first 128 bits of HMAC-SHA256, in hex. The same key
 * and value give the same name for ever; without the key it cannot be guessed back.
 */
export function pseudonym(key: Uint8Array, value: string): string {
  return `p-${createHmac("sha256", key).update(value, "utf8").digest("hex").slice(0, hexDigits)}`;
}
