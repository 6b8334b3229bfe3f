import { CodedError } from "@millrace/errors";
import { Stream } from "@millrace/proto/stream";
import type { Clock } from "@millrace/runtime";
import type { Broker } from "../broker/broker.js";
import { buckets } from "../broker/streams.js";
import { streamKey } from "./stream-registry.js";

/*
 * Whether a stream is exempt from the privacy filter. Its becoming so may be seen late, for until then it is
 * filtered. That it stopped must not be: so the exemption is a lease, asked of the bucket again when the last
 * answer is older than `exemptionFreshMs`. Who ends an exemption waits `exemptionEndMs` before it says so.
 *
 *     put exempt=false ──── exemptionEndMs ────► said          what is sent from here on is filtered
 *         └─ exemptionFreshMs ─► the last batch that may pass unfiltered was decided on
 */
export interface Exemptions {
  /** Errors: `unavailable` when the bucket does not answer; then nobody may go on as if it were. */
  isExempt(tenant: string, stream: Stream): Promise<boolean>;
}

const exemptionFreshMs = 250;
export const exemptionEndMs = 2 * exemptionFreshMs;

export async function createExemptions(broker: Broker, clock: Clock): Promise<Exemptions> {
  const bucket = await broker.kv.open(buckets.config, { allow_direct: true });
  const asked = new Map<string, { atMs: number; stored: Promise<Stream | undefined> }>();
  const ask = (tenant: string, name: string): Promise<Stream | undefined> => {
    const key = streamKey(tenant, name);
    const known = asked.get(key);
    const atMs = clock.monotonic();
    if (known !== undefined && atMs - known.atMs < exemptionFreshMs) return known.stored;
    const stored = bucket.get(key).then(
      (found) => (found?.operation === "PUT" ? Stream.decode(found.value) : undefined),
      (cause: unknown) => {
        asked.delete(key);
        throw new CodedError("unavailable", "look up exemption: no answer from the broker", {
          retryAfterMs: 500,
          cause,
        });
      },
    );
    asked.set(key, { atMs, stored });
    return stored;
  };
  return {
    isExempt: async (tenant, stream) => {
      if (stream.privacy?.exempt !== true) return false;
      const stored = await ask(tenant, stream.name);
      // Of a stream that was made anew nothing is known from the one before.
      return stored?.createdMs === stream.createdMs && stored.privacy?.exempt === true;
    },
  };
}
