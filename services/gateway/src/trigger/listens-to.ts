import type { Trigger } from "@millrace/proto/trigger";

/** Whether a trigger would act on a notification of a stream to a channel. */
export function listensTo(trigger: Trigger, of: { stream: string; channel: string }): boolean {
  const channels = trigger.filter?.channels ?? [];
  return (
    (trigger.stream === "" || trigger.stream === of.stream) &&
    trigger.types.includes("notification") &&
    (channels.length === 0 || channels.includes(of.channel))
  );
}
