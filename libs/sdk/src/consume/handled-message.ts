import type { Delivery } from "@millrace/proto/group";
import { type StoredMessage, toStored } from "../receive/received-message.js";

interface Attempted {
  /** 1 at the first. */
  attempt: number;
  /** How long it waited since its last attempt failed. */
  delayedMs: number;
  /**
   * Whether it has no analysis yet: its sender said so (attribute `requiresAnalysis`, `true` or `false`), or
   * the stream found neither sentiment, objects nor a scene.
   */
  requiresAnalysis: boolean;
  /** Fires when the handler should end: it is stopped, or the time limit has passed. */
  signal: AbortSignal;
}

/** A message as handlers get it. */
export type HandledMessage = StoredMessage & Attempted;
export type HandledOf<Kind extends StoredMessage["kind"]> = Extract<StoredMessage, { kind: Kind }> &
  Attempted;

/** Set on what `publishResult` and `queueForBatchProcessing` publish. */
export const derivedAttribute = "millrace-result";
export const queuedAttribute = "millrace-queue";

export function toHandled({ message, attempt, delayedMs }: Delivery, signal: AbortSignal): HandledMessage {
  const stored = toStored(message as NonNullable<typeof message>);
  const said = stored.attributes["requiresAnalysis"];
  const isAnalysed =
    stored.sentiment !== undefined || stored.objects.length > 0 || stored.scene !== undefined;
  const requiresAnalysis = said === undefined ? !isAnalysed : said === "true";
  return { ...stored, attempt, delayedMs, requiresAnalysis, signal };
}
