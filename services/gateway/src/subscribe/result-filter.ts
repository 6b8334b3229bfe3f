import { findingTypes } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import { type Message, Priority, type SubscribeRequest } from "@millrace/proto/message";

export type IsWanted = (message: Message) => boolean;

const namesMax = 1_000;
const attributesMax = 64;
const kinds = ["text", "data", "image"];
const sentiments = ["negative", "neutral", "positive"];

/** What a subscriber wants to read; undefined: everything. Errors: `invalid_argument`. */
export function wantedBy({ sourceIds, filter }: SubscribeRequest): IsWanted | undefined {
  checkCount("source_ids", sourceIds.length, namesMax);
  const tests: IsWanted[] = [];
  const wanted = new Set(sourceIds);
  if (wanted.size > 0) tests.push(({ sourceId }) => wanted.has(sourceId));
  if (filter !== undefined) {
    const attributes = Object.entries(filter.attributes);
    checkCount("filter.attributes", attributes.length, attributesMax);
    for (const [name, value] of attributes) tests.push((message) => message.attributes[name] === value);
    const { priority } = filter;
    if (Priority[priority] === undefined || priority === Priority.UNRECOGNIZED)
      throw invalid("filter.priority", "is not known", "Use PRIORITY_HIGH or PRIORITY_BATCH.");
    if (priority !== Priority.PRIORITY_UNSPECIFIED) tests.push((message) => message.priority === priority);
    const ofKinds = oneOf("filter.kinds", filter.kinds, kinds);
    if (ofKinds !== undefined) tests.push(({ content }) => ofKinds.has(content?.$case ?? ""));
    const felt = oneOf("filter.sentiments", filter.sentiments, sentiments);
    if (felt !== undefined) tests.push(({ sentiment }) => felt.has(sentiment?.label ?? ""));
    const found = oneOf("filter.finding_types", filter.findingTypes, findingTypes);
    if (found !== undefined) tests.push(({ findings }) => findings.some(({ type }) => found.has(type)));
  }
  return tests.length === 0 ? undefined : (message) => tests.every((test) => test(message));
}

function oneOf(field: string, given: readonly string[], known: readonly string[]): Set<string> | undefined {
  if (given.length === 0) return undefined;
  if (!given.every((name) => known.includes(name)))
    throw invalid(field, "names what is not known", `Use ${known.join(", ")}.`);
  return new Set(given);
}

function checkCount(field: string, count: number, most: number): void {
  if (count > most) throw invalid(field, `has ${count} entries`, `Name at most ${most}, or none for all.`);
}

function invalid(field: string, problem: string, remedy: string): CodedError {
  return new CodedError("invalid_argument", `subscribe: ${field} ${problem}`, { field, remedy });
}
