import { checkFilter, type ResultFilter } from "../receive/result-filter.js";
import { checkBoolean, checkCount, checkKeys, checkOneOf, checkText, checkTexts } from "../units/checks.js";
import { type Duration, parseDuration } from "../units/duration.js";

/** The group whose members the handlers of this process are. */
export interface GroupOptions {
  /**
   * Processes of one application share a group's messages; another application has a name of its own. Default
   * `handlers`.
   */
  name?: string;
  /** Where a group that is made begins. Default `now`. */
  from?: "now" | "earliest";
  /**
   * True: results may be removed by the stream's budget before the handlers had them, which is logged.
   * Default false: they are kept, and the stream's sources wait where they fill it.
   */
  maySkip?: boolean;
  /** Only messages of these source ids reach the group; others are settled unseen. Default: all. */
  sourceIds?: readonly string[];
  /** Only messages that fit each part that is named reach the group. Default: all. */
  filter?: ResultFilter;
  /** Failed attempts after which a message is dead-lettered, 1 to 100. Default 5. */
  maxAttempts?: number;
  /** How long a process may be silent before what it has goes to another. Default `"30s"`. */
  ackWait?: Duration;
}

export interface GroupSettings {
  group: string;
  from: "now" | "earliest";
  maySkip: boolean;
  /** 0: as the group has. */
  maxAttempts: number;
  ackWaitMs: number;
  sourceIds: readonly string[];
  filter: ResultFilter | undefined;
}

const keys = ["name", "from", "maySkip", "maxAttempts", "ackWait", "sourceIds", "filter"] as const;

/** `field` is the option's place. */
export function toGroupSettings(given: string | GroupOptions = {}, field = "group"): GroupSettings {
  const options = typeof given === "string" ? { name: given } : given;
  checkKeys(options, keys, field);
  const { name = "handlers", from = "now", maySkip = false, maxAttempts = 0, ackWait = "30s" } = options;
  checkText(name, `${field}.name`);
  checkOneOf(from, `${field}.from`, ["now", "earliest"]);
  checkBoolean(maySkip, `${field}.maySkip`);
  if (options.maxAttempts !== undefined) checkCount(maxAttempts, `${field}.maxAttempts`, [1, 100]);
  const { sourceIds = [], filter } = options;
  checkTexts(sourceIds, `${field}.sourceIds`);
  if (filter !== undefined) checkFilter(filter, `${field}.filter`);
  const ackWaitMs = parseDuration(ackWait, `${field}.ackWait`);
  return { group: name, from, maySkip, maxAttempts, ackWaitMs, sourceIds, filter };
}
