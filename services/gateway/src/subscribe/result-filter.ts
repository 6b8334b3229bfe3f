import { findingTypes } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import { type Message, Priority, ResultFilter } from "@millrace/proto/message";

export type IsWanted = (message: Message) => boolean;

/** As a subscriber or a group says what it wants. */
export interface Wanted {
  sourceIds: readonly string[];
  filter?: ResultFilter | undefined;
}

const namesMax = 1_000;
const attributesMax = 64;
const kinds = ["text", "data", "image"];
const sentiments = ["negative", "neutral", "positive"];

/**
 * What is wanted; undefined: everything. `call` and `within` name for errors what was called, and where in
 * its request it stands. Errors: `invalid_argument`.
 */
export function wantedBy(
  { sourceIds, filter }: Wanted,
  { call, within = "" }: { call: string; within?: string },
): IsWanted | undefined {
  const invalid: Refuse = (field, problem, remedy) =>
    new CodedError("invalid_argument", `${call}: ${field} ${problem}`, {
      field: `${within}${field}`,
      remedy,
    });
  checkCount(invalid, "source_ids", [sourceIds.length, namesMax]);
  const tests: IsWanted[] = [];
  const wanted = new Set(sourceIds);
  if (wanted.size > 0) tests.push(({ sourceId }) => wanted.has(sourceId));
  if (filter !== undefined) {
    const attributes = Object.entries(filter.attributes);
    checkCount(invalid, "filter.attributes", [attributes.length, attributesMax]);
    for (const [name, value] of attributes) tests.push((message) => message.attributes[name] === value);
    const { priority } = filter;
    if (Priority[priority] === undefined || priority === Priority.UNRECOGNIZED)
      throw invalid("filter.priority", "is not known", "Use PRIORITY_HIGH or PRIORITY_BATCH.");
    if (priority !== Priority.PRIORITY_UNSPECIFIED) tests.push((message) => message.priority === priority);
    const ofKinds = oneOf(invalid, "filter.kinds", [filter.kinds, kinds]);
    if (ofKinds !== undefined) tests.push(({ content }) => ofKinds.has(content?.$case ?? ""));
    const felt = oneOf(invalid, "filter.sentiments", [filter.sentiments, sentiments]);
    if (felt !== undefined) tests.push(({ sentiment }) => felt.has(sentiment?.label ?? ""));
    const found = oneOf(invalid, "filter.finding_types", [filter.findingTypes, findingTypes]);
    if (found !== undefined) tests.push(({ findings }) => findings.some(({ type }) => found.has(type)));
  }
  return tests.length === 0 ? undefined : (message) => tests.every((test) => test(message));
}

/** The same for whoever says the same, in whatever order; undefined: it wants everything. */
export function ordered(filter: ResultFilter | undefined): ResultFilter | undefined {
  if (filter === undefined) return undefined;
  const inOrder = (names: readonly string[]): string[] => [...new Set(names)].sort();
  const attributes = Object.entries(filter.attributes).sort(([one], [other]) => (one < other ? -1 : 1));
  const next: ResultFilter = {
    attributes: Object.fromEntries(attributes),
    kinds: inOrder(filter.kinds),
    priority: filter.priority,
    findingTypes: inOrder(filter.findingTypes),
    sentiments: inOrder(filter.sentiments),
  };
  return ResultFilter.encode(next).finish().length === 0 ? undefined : next;
}

type Refuse = (field: string, problem: string, remedy: string) => CodedError;

function oneOf(
  invalid: Refuse,
  field: string,
  [given, known]: [given: readonly string[], known: readonly string[]],
): Set<string> | undefined {
  if (given.length === 0) return undefined;
  if (!given.every((name) => known.includes(name)))
    throw invalid(field, "names what is not known", `Use ${known.join(", ")}.`);
  return new Set(given);
}

function checkCount(invalid: Refuse, field: string, [count, most]: [count: number, most: number]): void {
  if (count > most) throw invalid(field, `has ${count} entries`, `Name at most ${most}, or none for all.`);
}
