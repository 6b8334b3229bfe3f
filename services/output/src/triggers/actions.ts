import type { Event } from "@millrace/proto/event";
import type { Value } from "@millrace/proto/source";
import type { Webhook } from "@millrace/proto/trigger";
import type { Egress } from "@millrace/runtime";
import type { KafkaProducers } from "../kafka/kafka-producers.js";
import type { Action, ActionCall, ActionOutcome } from "./action.js";
import { anonymizeMentioned, type AnonymizeMentionedParts } from "./anonymize-mentioned.js";
import { notificationOf } from "./notification.js";
import { cloudEventHeaders, renderEvent } from "./render-event.js";
import { sendRecord } from "./kafka-record.js";
import { postWebhook, type WebhookLimits, webhookLimits } from "./webhook/post-webhook.js";
import { webhookHeaders } from "./webhook/sign-webhook.js";

export interface ActionParts extends AnonymizeMentionedParts {
  egress: Pick<Egress, "resolve">;
  secrets: { valueOf(value: Value, field: string): Promise<string> };
  now(): number;
  /** On the broker, to whoever listens; resolves when the broker has it. */
  publishNotice(subject: string, data: Uint8Array, headers: Record<string, string>): Promise<void>;
  noticeSubject(tenant: string, name: string): string;
  /** Resolves when the event is stored. */
  tellEvent(tenant: string, event: Event): Promise<void>;
  kafka: Pick<KafkaProducers, "use">;
  limits?: WebhookLimits;
}

/** What a trigger does. Errors are failed tries. */
export function createAction(parts: ActionParts): Action {
  return async (call) => {
    const { action } = call.trigger;
    switch (action?.$case) {
      case "webhook":
        return sendWebhook(parts, action.value, call);
      case "nats": {
        const { tenant, event, deliveryId } = call;
        const subject = parts.noticeSubject(tenant, action.value.name);
        const headers = { "Nats-Msg-Id": deliveryId, ...cloudEventHeaders(event, deliveryId, "ce-") };
        await parts.publishNotice(subject, Buffer.from(renderEvent(event)), headers);
        return { kind: "done" };
      }
      case "notify":
        await parts.tellEvent(call.tenant, notificationOf(call, action.value.name, parts.now()));
        return { kind: "done" };
      case "kafka":
        return sendRecord(parts.kafka, action.value, call);
      case "anonymize":
        return anonymizeMentioned(parts, call);
      case undefined:
        return { kind: "failed", reason: "this version does not know the trigger's action" };
    }
  };
}

async function sendWebhook(
  { egress, secrets, now, limits = webhookLimits }: ActionParts,
  webhook: Webhook,
  { event, deliveryId, signal }: ActionCall,
): Promise<ActionOutcome> {
  const target = await egress.resolve(webhook.url, "webhook.url");
  const keys = webhook.secrets.map((name) =>
    secrets.valueOf({ kind: { $case: "secret", value: name } }, "webhook.secrets"),
  );
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(webhook.headers)) {
    headers[name] = await secrets.valueOf(value, `webhook.headers.${name}`);
  }
  const body = renderEvent(event);
  const seconds = Math.floor(now() / 1000);
  const signed = webhookHeaders(await Promise.all(keys), { id: deliveryId, seconds, body });
  return postWebhook({ target, headers: { ...headers, ...signed }, body, signal }, limits, now);
}
