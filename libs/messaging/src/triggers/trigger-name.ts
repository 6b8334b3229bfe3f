import { deriveId } from "@millrace/envelope";
import { subjects } from "../broker/subjects.js";

/** A trigger is one of its stream; of every stream where `stream` is empty. */
export interface TriggerName {
  tenant: string;
  stream: string;
  id: string;
}

/** In the place of a stream's name, which it can't be. */
const everyStream = "_all";

const streamToken = (stream: string): string => (stream === "" ? everyStream : stream);

/** Of CONFIG and REPORTS. */
export const triggerKey = ({ tenant, stream, id }: TriggerName): string =>
  `trigger.${tenant}.${streamToken(stream)}.${id}`;

export function triggerNameOf(key: string): TriggerName {
  const [, ...name] = key.split(".");
  return nameOf(name);
}

function nameOf([tenant = "", stream = "", id = ""]: readonly string[]): TriggerName {
  return { tenant, stream: stream === everyStream ? "" : stream, id };
}

/** Where its dead letters lie. */
export const triggerLetters = ({ tenant, stream, id }: TriggerName): string =>
  subjects.triggerLetter(tenant, streamToken(stream), id);

/** Whose dead letters lie under a subject. */
export function triggerOfLetters(subject: string): TriggerName {
  const [, , ...name] = subject.split(".");
  return nameOf(name);
}

/** The durable consumer of one trigger. One that is deleted and made again under the same name is another. */
export const triggerConsumer = (of: TriggerName, createdMs: number): string =>
  `trigger-${deriveId("trigger", of.tenant, of.stream, of.id, String(createdMs))}`;

/** What the consumer reads of EVENTS. */
export const triggerFilters = ({ tenant, stream }: TriggerName, types: readonly string[]): string[] =>
  types.map((type) => subjects.event(tenant, stream === "" ? "*" : stream, type));
