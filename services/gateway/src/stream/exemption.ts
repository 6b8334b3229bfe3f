import type { Metadata } from "@grpc/grpc-js";
import { CodedError } from "@millrace/errors";
import { deriveId } from "@millrace/envelope";
import type { Event } from "@millrace/proto/event";
import type { Stream } from "@millrace/proto/stream";
import type { Logger } from "@millrace/runtime";

export interface ExemptionParts {
  /** Whether the caller holds the privacy role. */
  mayExempt(metadata: Metadata): boolean;
  /** Resolves when the event is stored. */
  tellEvent(tenant: string, event: Event): Promise<void>;
  now(): number;
  log: Logger;
}

/** A stream before (undefined: there was none) and after a change that is about to be stored. */
export interface StreamChange {
  tenant: string;
  before: Stream | undefined;
  after: Stream;
  /** Of what is there before: names the change, so that a repeat tells it once. */
  revision: number;
  /** Of the call that asks for it. */
  metadata: Metadata;
}

const isExempt = (stream: Stream | undefined): boolean => stream?.privacy?.exempt === true;

export function endsExemption({ before, after }: Pick<StreamChange, "before" | "after">): boolean {
  return isExempt(before) && !isExempt(after);
}

/**
 * Where a stream becomes exempt from the filter or stops being so, checks that the caller may, and tells it
 * as an event: before it is stored, so that none ever is exempt without a notice. Ending it makes data safer
 * and needs no role. Errors: `permission_denied`.
 */
export async function announceExemption(parts: ExemptionParts, change: StreamChange): Promise<void> {
  const { tenant, before, after, revision, metadata } = change;
  const exempt = isExempt(after);
  if (exempt === isExempt(before)) return;
  if (exempt && !parts.mayExempt(metadata)) {
    throw new CodedError("permission_denied", `exempt stream ${after.name}: that takes the privacy role`, {
      field: "stream.privacy.exempt",
      remedy: "Leave it out, or call with a token of role privacy (without auth: privacy.exemptAllowed).",
    });
  }
  const { name, createdMs } = after;
  parts.log.warn("exemption from the privacy filter changes", { stream: name, exempt });
  await parts.tellEvent(tenant, {
    id: deriveId("privacy-exempted", tenant, name, String(createdMs), String(revision), String(exempt)),
    type: "privacy_exempted",
    stream: name,
    timeMs: Math.round(parts.now()),
    payload: { $case: "privacyExempted", value: { exempt } },
  });
}
