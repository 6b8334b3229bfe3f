import type { OutgoingMessage } from "../publish/outgoing.js";
import type { Published } from "../publish/publish-all.js";
import { checkKeys, checkText } from "../units/checks.js";
import { derivedAttribute, queuedAttribute } from "./handled-message.js";

export interface QueueOptions {
  sourceId?: string;
  attributes?: Readonly<Record<string, string>>;
}

/** What handlers publish of their own. */
export interface DerivedCalls {
  /**
   * Puts a result of the application's into the stream: a message with the attribute `millrace-result`, its
   * kind, which passes the privacy filter like any other. Subscribers, sinks and artifacts get it; handlers
   * of this stream don't, so that nothing goes round. A value that is no text is published as JSON.
   */
  publishResult(sourceId: string, kind: string, value: unknown): Promise<Published>;
  /**
   * Durable work for `batchProcessor`, of whichever process of the group: published in the batch lane, with
   * the attribute `millrace-queue`. Other handlers don't get it. Data that is neither text nor bytes becomes
   * JSON.
   */
  queueForBatchProcessing(data: unknown, options?: QueueOptions): Promise<Published>;
}

export function derivedCalls(publish: (message: OutgoingMessage) => Promise<Published>): DerivedCalls {
  return {
    publishResult: async (sourceId, kind, value) => {
      checkText(sourceId, "sourceId");
      checkText(kind, "kind");
      const attributes = { [derivedAttribute]: kind };
      return publish({ ...contentOf(value), sourceId, attributes, generateEmbeddings: false });
    },
    queueForBatchProcessing: async (data, options = {}) => {
      checkKeys(options, ["sourceId", "attributes"], "options");
      const attributes = { ...options.attributes, [queuedAttribute]: "batch" };
      const sourceId = options.sourceId === undefined ? {} : { sourceId: options.sourceId };
      return publish({
        ...contentOf(data),
        ...sourceId,
        attributes,
        priority: "batch",
        generateEmbeddings: false,
      });
    },
  };
}

function contentOf(value: unknown): { text: string } | { data: Uint8Array } {
  if (typeof value === "string") return { text: value };
  if (value instanceof Uint8Array) return { data: value };
  return { text: JSON.stringify(value ?? null) };
}
