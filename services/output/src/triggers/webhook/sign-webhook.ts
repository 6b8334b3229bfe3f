import { createHmac } from "node:crypto";
import { CodedError } from "@millrace/errors";

/*
 * Standard Webhooks: HMAC-SHA256 over `<id>.<timestamp>.<body>` by the secret's bytes, as `v1,<base64>`.
 * Where a secret is being replaced there are two signatures, one a secret, with a blank between them.
 */
const keyBytes = { min: 24, max: 64 };
const base64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** The three headers. Errors: `failed_precondition` for what is no secret, without showing it. */
export function webhookHeaders(
  secrets: readonly string[],
  { id, seconds, body }: { id: string; seconds: number; body: string },
): Record<string, string> {
  const headers = { "webhook-id": id, "webhook-timestamp": String(seconds) };
  if (secrets.length === 0) return headers;
  const signatures = secrets.map((secret) => {
    const mac = createHmac("sha256", keyOf(secret)).update(`${id}.${seconds}.${body}`);
    return `v1,${mac.digest("base64")}`;
  });
  return { ...headers, "webhook-signature": signatures.join(" ") };
}

function keyOf(secret: string): Buffer {
  const text = secret.startsWith("whsec_") ? secret.slice(6) : secret;
  const key = Buffer.from(text, "base64");
  if (base64.test(text) && key.length >= keyBytes.min && key.length <= keyBytes.max) return key;
  throw new CodedError("failed_precondition", "sign a webhook: its secret is no key", {
    field: "webhook.secrets",
    remedy: `Keep ${keyBytes.min} to ${keyBytes.max} bytes in the secret's file, in base64.`,
  });
}
