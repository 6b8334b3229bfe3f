import {
  findingName,
  idText,
  messageId,
  outputId,
  rowPositions,
  rowSourceId,
  type SendableBatch,
} from "@millrace/envelope";
import { type Outgoing, subjects } from "@millrace/messaging";
import { Event, type PrivacyViolation, ViolatingMessage } from "@millrace/proto/event";

/** What an event lists: an operator reads a thousand at most, and the bus carries 1 MiB. */
const messagesMax = 1_000;
const listedBytesMax = 256 * 1024;

type Counts = Map<string, number>;

/**
 * The privacy_violation event of a filtered batch, by ids, types and names as they pass on, never a value;
 * none where nothing was found. `clean` still has all of its findings: what a batch lists of them is bounded
 * later.
 */
export function violationEvent(clean: SendableBatch, nowMs: number): Event | undefined {
  const { header } = clean;
  const byRow = countsByRow(clean);
  if (byRow.size === 0) return undefined;
  return {
    id: outputId(idText(header.id), "privacy-violation", 0),
    type: "privacy_violation",
    stream: header.stream,
    timeMs: Math.round(nowMs),
    payload: { $case: "privacyViolation", value: violationOf(clean, byRow) },
  };
}

function violationOf(clean: SendableBatch, byRow: Map<number, Counts>): PrivacyViolation {
  const { header, columns } = clean;
  const positions = rowPositions(header, columns);
  const total: Counts = new Map();
  const messages: ViolatingMessage[] = [];
  let bytes = 0;
  for (const [row, counts] of byRow) {
    for (const [type, count] of counts) add(total, type, count);
    if (messages.length >= messagesMax || bytes >= listedBytesMax) continue;
    const keyed = columns.ids.subarray(16 * row, 16 * row + 16);
    const message = {
      messageId: keyed.length === 16 ? idText(keyed) : messageId(header, positions[row] as number),
      sourceId: rowSourceId(columns, row),
      counts: Object.fromEntries(counts),
    };
    bytes += ViolatingMessage.encode(message).finish().length;
    messages.push(message);
  }
  return { counts: Object.fromEntries(total), messages, messagesOmitted: byRow.size - messages.length };
}

function countsByRow(clean: SendableBatch): Map<number, Counts> {
  const byRow = new Map<number, Counts>();
  const count = (row: number, code: number): void => {
    let counts = byRow.get(row);
    if (counts === undefined) byRow.set(row, (counts = new Map()));
    add(counts, findingName(code), 1);
  };
  const { findings } = clean.annotations;
  if (findings === undefined) return byRow;
  for (const [at, row] of findings.rows.entries()) count(row, findings.types[at] ?? 0);
  for (const [at, row] of findings.nameRows.entries()) count(row, findings.nameTypes[at] ?? 0);
  return byRow;
}

function add(counts: Counts, type: string, by: number): void {
  counts.set(type, (counts.get(type) ?? 0) + by);
}

/** The event as it is published, where there is one. */
export function violations(whole: SendableBatch, nowMs: number): Outgoing[] {
  const event = violationEvent(whole, nowMs);
  if (event === undefined) return [];
  const { tenant, stream } = whole.header;
  const subject = subjects.event(tenant, stream, event.type);
  return [{ subject, data: Event.encode(event).finish(), id: event.id }];
}
