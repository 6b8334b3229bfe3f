import type { CodedError } from "@millrace/errors";
import type { ConsumeResponse, Delivery, Group, Settle } from "@millrace/proto/group";
import { messageBytes } from "../subscribe/result-responses.js";
import { millisecondsOf } from "../stream/wire-duration.js";
import { failureOf, type MemberSettings } from "./group-settings.js";
import type { HeldFrame } from "./held-frame.js";

/** One call of Consume, as its group at this gateway sees it. */
export interface Member {
  kinds: ReadonlySet<string> | undefined;
  /** Messages that it takes now. */
  room(): number;
  /** Hands over up to `max` rows of the frames, in one response. */
  give(frames: readonly HeldFrame[], max: number, nowMs: number): number;
  write(response: Partial<ConsumeResponse>): void;
  settle(settle: Settle, nowMs: number): void;
  /** Takes away what it had for too long. */
  expire(nowMs: number): void;
  /** Gives back what it has in hand; where it is lost, its attempts count. */
  leave(of: { isLost: boolean }): void;
  /** The frame is not this gateway's any more. */
  forget(held: HeldFrame): void;
  end(reason: CodedError): void;
}

/** What a failed attempt leads to is the group's to say. */
export type OnFailed = (
  held: HeldFrame,
  row: number,
  of: { error: CodedError; delayMs?: number; counts?: boolean; isFinal?: boolean },
) => void;

export interface MemberOptions {
  settings: MemberSettings;
  group: Group;
  onFailed: OnFailed;
  /** False: no more until `isWritable`. */
  write(response: ConsumeResponse): boolean;
  isWritable(): boolean;
  end(reason: CodedError): void;
}

interface Item {
  held: HeldFrame;
  row: number;
  deadlineMs: number;
}

/** A response holds about so much: a client takes 4 MiB at most. */
const responseBytesMax = 1024 * 1024;
const responseMessagesMax = 1_024;

export function createMember(options: MemberOptions): Member {
  const { settings } = options;
  const items = new Map<number, Item>();
  let lastItem = 0;
  const write = (response: Partial<ConsumeResponse>): void => {
    options.write({ opened: undefined, deliveries: [], gap: undefined, ...response });
  };
  const give: Member["give"] = (frames, max, nowMs) => {
    const deliveries: Delivery[] = [];
    let bytes = 0;
    const limit = Math.min(max, settings.credits - items.size, responseMessagesMax);
    for (const held of frames) {
      while (deliveries.length < limit && bytes < responseBytesMax) {
        const row = held.firstReady(settings.kinds);
        if (row === undefined) break;
        held.rows.take(row);
        held.isDirty = true;
        const item = ++lastItem;
        items.set(item, { held, row, deadlineMs: nowMs + settings.ackWaitMs });
        const message = held.message(row);
        const failedMs = held.rows.failedMs(row);
        const delayedMs = failedMs === 0 ? 0 : Math.max(0, Math.round(nowMs - failedMs));
        deliveries.push({ item, message, attempt: held.rows.attempts(row), delayedMs });
        bytes += messageBytes(message);
      }
    }
    if (deliveries.length > 0) write({ deliveries });
    return deliveries.length;
  };
  return {
    kinds: settings.kinds,
    room: () => (options.isWritable() ? settings.credits - items.size : 0),
    write,
    give,
    settle: (settle, nowMs) => {
      for (const item of settle.working) {
        const found = items.get(item);
        if (found !== undefined) found.deadlineMs = nowMs + settings.ackWaitMs;
      }
      settleItems(options, items, settle);
    },
    expire: (nowMs) => {
      for (const [item, { deadlineMs, ...of }] of items) {
        if (deadlineMs > nowMs) continue;
        items.delete(item);
        const reason = `a member did not settle it within ${settings.ackWaitMs} ms`;
        fail(options, of, {
          error: failureOf(options.group, { code: "deadline_exceeded", reason }),
          delayMs: 0,
        });
      }
    },
    leave: ({ isLost }) => {
      const reason = "the call that had it was cut";
      const error = failureOf(options.group, { code: "unavailable", reason });
      for (const item of items.values()) {
        if (isLost) fail(options, item, { error, delayMs: 0 });
        else release(item);
      }
      items.clear();
    },
    forget: (held) => {
      for (const [item, { held: of }] of items) if (of === held) items.delete(item);
    },
    end: options.end,
  };
}

type Place = Pick<Item, "held" | "row">;

function fail({ onFailed }: MemberOptions, { held, row }: Place, of: Parameters<OnFailed>[2]): void {
  held.isDirty = true;
  onFailed(held, row, of);
}

function release({ held, row }: Place): void {
  held.rows.release(row);
  held.isDirty = true;
}

function settleItems(options: MemberOptions, items: Map<number, Item>, settle: Settle): void {
  const { group } = options;
  const take = (item: number): Item | undefined => {
    const found = items.get(item);
    items.delete(item);
    return found;
  };
  for (const item of settle.done) {
    const found = take(item);
    if (found === undefined) continue;
    found.held.rows.settle(found.row);
    found.held.isDirty = true;
  }
  for (const item of settle.released) {
    const found = take(item);
    if (found !== undefined) release(found);
  }
  for (const { item, delay, uncounted, reason } of settle.retries) {
    const found = take(item);
    if (found === undefined) continue;
    const error = failureOf(group, { code: "aborted", reason });
    const delayMs = delay === undefined ? {} : { delayMs: Math.max(0, millisecondsOf(delay)) };
    fail(options, found, { error, counts: !uncounted, ...delayMs });
  }
  for (const failure of settle.failures) {
    const found = take(failure.item);
    if (found !== undefined) fail(options, found, { error: failureOf(group, failure), isFinal: true });
  }
}
