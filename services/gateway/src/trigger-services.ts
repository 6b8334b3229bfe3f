import {
  type Broker,
  countStored,
  countUnsettled,
  createTriggerRegistry,
  createTriggerStore,
  openTriggerReports,
  triggerConsumer,
  triggerLetters,
  type TriggerRegistry,
} from "@millrace/messaging";
import { TriggerServiceService } from "@millrace/proto/trigger";
import type { GrpcService } from "@millrace/runtime";
import {
  type ChangeTriggerParts,
  createTrigger,
  deleteTrigger,
  updateTrigger,
} from "./handlers/trigger/change-trigger.js";
import { notifyChannel, type NotifyParts } from "./handlers/trigger/notify-channel.js";
import { getTrigger, listTriggers, type ReadTriggersParts } from "./handlers/trigger/read-triggers.js";
import { type Serving, serveUnary } from "./rpc/unary-call.js";

export interface TriggerParts extends ChangeTriggerParts, ReadTriggersParts, NotifyParts {}

const name = "millrace.trigger.v1.TriggerService";

export function triggerServices(api: TriggerParts & Serving): GrpcService[] {
  return [
    {
      name,
      definition: TriggerServiceService,
      implementation: {
        createTrigger: serveUnary(`${name}/CreateTrigger`, api, createTrigger(api)),
        getTrigger: serveUnary(`${name}/GetTrigger`, api, getTrigger(api)),
        listTriggers: serveUnary(`${name}/ListTriggers`, api, listTriggers(api)),
        updateTrigger: serveUnary(`${name}/UpdateTrigger`, api, updateTrigger(api)),
        deleteTrigger: serveUnary(`${name}/DeleteTrigger`, api, deleteTrigger(api)),
        notify: serveUnary(`${name}/Notify`, api, notifyChannel(api)),
      },
    },
  ];
}

type OfBroker = "triggers" | "triggerStore" | "readTriggerReport" | "countUnsettled" | "countTriggerLetters";

/** What the handlers of triggers need of the broker. */
export async function triggersOnBroker(
  broker: Broker,
): Promise<Pick<TriggerParts, OfBroker> & { triggers: TriggerRegistry }> {
  const reports = await openTriggerReports(broker);
  return {
    triggers: await createTriggerRegistry(broker),
    triggerStore: await createTriggerStore(broker),
    readTriggerReport: reports.read,
    countUnsettled: (of, createdMs) => countUnsettled(broker, triggerConsumer(of, createdMs)),
    countTriggerLetters: (of) => countStored(broker, "DLQ", triggerLetters(of)),
  };
}
