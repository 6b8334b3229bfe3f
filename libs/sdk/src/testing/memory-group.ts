import type { ConsumeResponse, Delivery, Open, Settle } from "@millrace/proto/group";
import type { Message } from "@millrace/proto/message";
import type { GroupCall, GroupTransport } from "../consume/transport.js";
import { fromWireDuration } from "../units/duration.js";

/** What became of a message in a group in memory. */
export interface MemoryItem {
  message: Message;
  state: "ready" | "inHand" | "delayed" | "done" | "dead";
  attempts: number;
  dueMs: number;
  failedMs: number;
  /** Of the last failure. */
  reason: string;
  code: string;
}

/** One group of one stream, as a gateway would keep it; its clock is the test's. */
export interface MemoryGroup {
  transport: GroupTransport;
  items: readonly MemoryItem[];
  publish(message: Message): void;
  /** Deliveries whose time has come are handed out. */
  wake(): void;
  /** When the next delayed one is due; infinite where there is none. */
  nextDueMs(): number;
  /** Nothing is in hand, nor ready for a member that is there. */
  isIdle(): boolean;
  /** Told after each change. */
  onChange(listener: () => void): () => void;
}

interface MemoryMember {
  open: Open;
  items: Map<number, MemoryItem>;
  push(response: ConsumeResponse): void;
}

const attemptsDefault = 5;
const retryMs = { first: 1_000, max: 60_000 };

export function createMemoryGroup(now: () => number): MemoryGroup {
  const items: MemoryItem[] = [];
  const members = new Set<MemoryMember>();
  const listeners = new Set<() => void>();
  let lastItem = 0;
  const changed = (): void => {
    for (const listener of listeners) listener();
  };
  const suits = ({ open: { kinds } }: MemoryMember, { message }: MemoryItem): boolean =>
    kinds.length === 0 || kinds.includes(message.content?.$case ?? "text");
  const wake = (): void => {
    for (const item of items) if (item.state === "delayed" && item.dueMs <= now()) item.state = "ready";
    for (const member of members) {
      const deliveries: Delivery[] = [];
      for (const item of items) {
        if (member.items.size >= member.open.credits) break;
        if (item.state !== "ready" || !suits(member, item)) continue;
        item.state = "inHand";
        item.attempts += 1;
        const number = ++lastItem;
        member.items.set(number, item);
        const delayedMs = item.failedMs === 0 ? 0 : now() - item.failedMs;
        deliveries.push({ item: number, message: item.message, attempt: item.attempts, delayedMs });
      }
      if (deliveries.length > 0) member.push({ opened: undefined, deliveries, gap: undefined });
    }
    changed();
  };
  const join = (open: Open): GroupCall => {
    const { responses, push, end } = createQueue();
    const member: MemoryMember = { open, items: new Map(), push };
    const leave = (): void => {
      for (const item of member.items.values()) release(item);
      member.items.clear();
      members.delete(member);
      end();
      wake();
    };
    members.add(member);
    push({ opened: groupOf(open), deliveries: [], gap: undefined });
    queueMicrotask(wake);
    const send = (settle: Settle): void => {
      settleItems(member, settle, now());
      wake();
    };
    return { responses, send, end: leave, cancel: leave };
  };
  return {
    transport: { join },
    items,
    publish: (message) => {
      const blank = { attempts: 0, dueMs: 0, failedMs: 0, reason: "", code: "" };
      items.push({ message, state: "ready", ...blank });
      wake();
    },
    wake,
    nextDueMs: () =>
      Math.min(...items.filter(({ state }) => state === "delayed").map(({ dueMs }) => dueMs), Infinity),
    isIdle: () =>
      items.every(
        (item) =>
          item.state !== "inHand" &&
          (item.state !== "ready" || ![...members].some((member) => suits(member, item))),
      ),
    onChange: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

function release(item: MemoryItem): void {
  item.attempts -= 1;
  item.state = "ready";
}

function settleItems({ items, open }: MemoryMember, settle: Settle, nowMs: number): void {
  const take = (number: number): MemoryItem | undefined => {
    const found = items.get(number);
    items.delete(number);
    return found;
  };
  for (const number of settle.done) {
    const item = take(number);
    if (item !== undefined) item.state = "done";
  }
  for (const number of settle.released) {
    const item = take(number);
    if (item !== undefined) release(item);
  }
  for (const { item: number, delay, uncounted, reason } of settle.retries) {
    const item = take(number);
    if (item === undefined) continue;
    const isLast = !uncounted && item.attempts >= (open.maxAttempts || attemptsDefault);
    const usualMs = Math.min(retryMs.max, retryMs.first * 2 ** (item.attempts - 1));
    const delayMs = delay === undefined ? usualMs : fromWireDuration(delay);
    if (uncounted) item.attempts -= 1;
    const state = isLast ? "dead" : "delayed";
    Object.assign(item, { state, dueMs: nowMs + delayMs, failedMs: nowMs, reason, code: "aborted" });
  }
  for (const { item: number, code, reason } of settle.failures) {
    const item = take(number);
    if (item !== undefined) Object.assign(item, { state: "dead", reason, code });
  }
}

function groupOf({ stream, group, kinds, sourceIds, maySkip, maxAttempts, filter }: Open) {
  const of = { stream, name: group, kinds, sourceIds, maySkip, maxAttempts, filter };
  return { ...of, createdMs: 0, streamCreatedMs: 0, startSeq: 0 };
}

/** Responses of a call, which come one by one to whoever reads. */
function createQueue() {
  const waiting: ConsumeResponse[] = [];
  let wake = (): void => undefined;
  let isOver = false;
  async function* read(): AsyncGenerator<ConsumeResponse, void, undefined> {
    for (;;) {
      const next = waiting.shift();
      if (next !== undefined) yield next;
      else if (isOver) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  return {
    responses: read(),
    push: (response: ConsumeResponse): void => {
      waiting.push(response);
      wake();
    },
    end: (): void => {
      isOver = true;
      wake();
    },
  };
}
