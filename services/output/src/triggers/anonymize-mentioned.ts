import type { StreamRegistry } from "@millrace/messaging";
import type { AnonymizeRequest, AnonymizeResponse } from "@millrace/proto/work";
import type { ActionCall, ActionOutcome } from "./action.js";
import { messagesOf } from "./messages-of.js";

export interface AnonymizeMentionedParts {
  /** One that is clean already is left as it is, so an event may come twice. */
  anonymize(request: AnonymizeRequest): Promise<AnonymizeResponse>;
  registry: Pick<StreamRegistry, "find">;
}

/** Contents at a time, between which a stop is heeded. */
const targetsMax = 50;
/** For sinks to be through with a content; what takes longer is tried again. */
const waitMs = 10_000;

/** The contents that an event leads to, cleaned by every detector wherever they are kept. */
export async function anonymizeMentioned(
  { anonymize, registry }: AnonymizeMentionedParts,
  { tenant, event, signal }: Pick<ActionCall, "tenant" | "event" | "signal">,
): Promise<ActionOutcome> {
  const ids = [...new Set(messagesOf(event.payload).map(({ messageId }) => messageId))];
  if (ids.length === 0) return { kind: "absent", reason: "no_content", mayCome: false };
  const outputs = (await registry.find(tenant, event.stream))?.outputs;
  if (outputs?.artifacts !== true && outputs?.results === undefined) {
    return { kind: "absent", reason: "nothing_kept", mayCome: false };
  }
  let missing = 0;
  for (let at = 0; at < ids.length; at += targetsMax) {
    if (signal.aborted) return { kind: "failed", reason: "output was stopping" };
    const targets = ids.slice(at, at + targetsMax).map((contentId) => ({ contentId, artifact: "" }));
    const { contents } = await anonymize({ tenant, stream: event.stream, targets, waitMs });
    missing += contents.filter((content) => content.missing).length;
  }
  // Stored a little after the event, or gone: by its age, or since somebody deleted it.
  if (missing > 0) return { kind: "absent", reason: "content_missing", mayCome: true };
  const { payload } = event;
  const unnamed = payload?.$case === "privacyViolation" ? payload.value.messagesOmitted : 0;
  return { kind: "done", unnamed };
}
