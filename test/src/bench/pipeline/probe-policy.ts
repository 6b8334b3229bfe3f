import { CodedError } from "@millrace/errors";
import { createStreamProcessor, type MillraceClient } from "@millrace/sdk";

const timeoutMs = 20_000;
const probe = "bench-probe";

/** The hash of the policy that streams get by default, as the passport of a message says it. */
export async function defaultPolicyHash(client: MillraceClient, signal: AbortSignal): Promise<string> {
  await using processor = await createStreamProcessor(probe, client, {
    enrichments: { embeddings: false, sentiment: false },
    outputs: { results: true, artifacts: false, search: false, events: false },
  });
  await processor.publish("mail anna@example.com");
  const until = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  for await (const { passport } of processor.subscribe({ from: "earliest", signal: until })) {
    const hash = passport.find(({ stage }) => stage === "privacy")?.decidedBy;
    if (hash !== undefined && hash !== "") return hash;
  }
  throw new CodedError("deadline_exceeded", "bench: no passport tells the policy");
}
