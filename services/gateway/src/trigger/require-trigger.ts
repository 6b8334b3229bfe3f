import { CodedError } from "@millrace/errors";
import type { TriggerStore } from "@millrace/messaging";
import type { Trigger } from "@millrace/proto/trigger";
import { checkStreamName } from "../stream/stream-name.js";
import { checkName } from "./trigger-settings.js";

/** The trigger as it is stored. Errors: `not_found` and what to do about it. */
export async function requireTrigger(
  store: Pick<TriggerStore, "read">,
  of: { tenant: string; stream: string; id: string },
  fields = { stream: "stream", id: "id" },
): Promise<{ trigger: Trigger; revision: number }> {
  checkName(of.id, fields.id);
  if (of.stream !== "") checkStreamName(of.stream, fields.stream);
  const found = await store.read(of);
  if (found !== undefined) return found;
  const where = of.stream === "" ? "of every stream" : `of stream ${of.stream}`;
  throw new CodedError("not_found", `find trigger ${of.id} ${where}: there is none`, {
    field: fields.id,
    remedy: "List them with ListTriggers; create it with CreateTrigger.",
  });
}
