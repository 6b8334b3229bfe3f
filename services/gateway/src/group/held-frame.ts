import { messageViews, type OpenBatch } from "@millrace/envelope";
import type { GroupFrame } from "@millrace/messaging";
import type { Group, PartlySettled } from "@millrace/proto/group";
import type { Message } from "@millrace/proto/message";
import { type IsWanted, wantedBy } from "../subscribe/result-filter.js";
import { createFrameRows, type FrameRows } from "./frame-rows.js";

/** A frame of results while a gateway holds it for the members of a group. */
export interface HeldFrame {
  readonly frame: GroupFrame;
  readonly open: OpenBatch;
  readonly rows: FrameRows;
  message(row: number): Message;
  /** The first row that is ready and of these kinds; undefined kinds: any. */
  firstReady(kinds: ReadonlySet<string> | undefined): number | undefined;
  /** Of its entry in GROUPS; 0: none. */
  revision: number;
  /** GROUPS has not all of it. */
  isDirty: boolean;
  isWriting: boolean;
  /** Another gateway may have it. */
  isLost: boolean;
  /** When the broker was last told that it is held; a monotonic time. */
  heldAt: number;
}

/** What a row can be to a member: the field of `Message.content`. */
export type MessageKind = NonNullable<Message["content"]>["$case"];

/** What a handler made of a message: subscribers read it, and no group is given it, for it would go round. */
export const derivedAttribute = "millrace-result";

export interface FrameToHold {
  frame: GroupFrame;
  open: OpenBatch;
  group: Group;
  nowMs: number;
  heldAt: number;
  /** What GROUPS has of it. */
  stored: { state: PartlySettled; revision: number } | undefined;
}

/** Rows that are not the group's are settled from the first. */
export function holdFrame({ frame, open, group, nowMs, heldAt, stored }: FrameToHold): HeldFrame {
  const { count } = open.header;
  const view = messageViews(open);
  const messages = Array.from({ length: count }, (_, row) => view(row));
  const rows = createFrameRows({ count, nowMs, stored: stored?.state });
  const wants = wantedOf(group);
  for (const [row, message] of messages.entries()) if (!wants(message)) rows.settle(row);
  const kinds = messages.map(kindOf);
  return {
    frame,
    open,
    rows,
    message: (row) => messages[row] as Message,
    firstReady: (of) => rows.firstReady((row) => of === undefined || of.has(kinds[row] as string)),
    revision: stored?.revision ?? 0,
    isDirty: false,
    isWriting: false,
    isLost: false,
    heldAt,
  };
}

const kindOf = ({ content }: Message): MessageKind => content?.$case ?? "text";

function wantedOf(group: Group): IsWanted {
  const { kinds } = group;
  const isWanted = wantedBy(group, { call: "consume" });
  return (message) =>
    message.attributes[derivedAttribute] === undefined &&
    (kinds.length === 0 || kinds.includes(kindOf(message))) &&
    (isWanted === undefined || isWanted(message));
}
