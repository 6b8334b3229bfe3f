import { Priority, type ResultFilter as WireFilter } from "@millrace/proto/message";
import { checkKeys, checkOneOf, checkTexts } from "../units/checks.js";

export interface ResultFilter {
  /** At most 64 names, with the values that they must have. */
  attributes?: Readonly<Record<string, string>>;
  kinds?: readonly ("text" | "data" | "image")[];
  priority?: "high" | "batch";
  /** Types of personal data that were replaced in the message, such as `EMAIL`: one of them. */
  findingTypes?: readonly string[];
  sentiments?: readonly ("negative" | "neutral" | "positive")[];
}

const keys = ["attributes", "kinds", "priority", "findingTypes", "sentiments"] as const;

/** `field` is its place. */
export function checkFilter(filter: ResultFilter, field: string): void {
  checkKeys(filter, keys, field);
  const { attributes = {}, kinds, priority, findingTypes, sentiments } = filter;
  checkTexts(Object.values(attributes), `${field}.attributes`);
  if (kinds !== undefined) checkTexts(kinds, `${field}.kinds`);
  if (findingTypes !== undefined) checkTexts(findingTypes, `${field}.findingTypes`);
  if (sentiments !== undefined) checkTexts(sentiments, `${field}.sentiments`);
  if (priority !== undefined) checkOneOf(priority, `${field}.priority`, ["high", "batch"]);
}

export function toFilter(filter: ResultFilter | undefined): WireFilter | undefined {
  if (filter === undefined) return undefined;
  const { attributes = {}, kinds = [], priority, findingTypes = [], sentiments = [] } = filter;
  return {
    attributes: { ...attributes },
    kinds: [...kinds],
    priority: priority === undefined ? Priority.PRIORITY_UNSPECIFIED : toWirePriority(priority),
    findingTypes: [...findingTypes],
    sentiments: [...sentiments],
  };
}

const toWirePriority = (priority: "high" | "batch"): Priority =>
  priority === "batch" ? Priority.PRIORITY_BATCH : Priority.PRIORITY_HIGH;
