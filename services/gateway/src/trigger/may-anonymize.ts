import type { Metadata } from "@grpc/grpc-js";
import { CodedError } from "@millrace/errors";
import type { Trigger } from "@millrace/proto/trigger";

export interface MayAnonymize {
  /** Whether this caller may let contents be rewritten with nobody looking on. */
  mayAnonymize(metadata: Metadata): boolean;
}

/**
 * What rewrites contents for good is the privacy team's to begin and to end. Errors: `permission_denied`
 * where one of the triggers does that, and the caller is another.
 */
export function requireAnonymizer(
  { mayAnonymize }: MayAnonymize,
  metadata: Metadata,
  triggers: readonly Trigger[],
): void {
  if (!triggers.some(({ action }) => action?.$case === "anonymize") || mayAnonymize(metadata)) return;
  throw new CodedError("permission_denied", "change triggers: the action anonymize is not the caller's", {
    field: "trigger.anonymize",
    remedy: "Call with a token of role privacy; AnonymizeContent cleans one content at a time.",
  });
}
