import { decodeBatch, type OpenBatch, openBatch } from "@millrace/envelope";
import type { CodedError } from "@millrace/errors";
import type { GroupFrame, GroupProgress, StoredNumbers } from "@millrace/messaging";
import type { Group } from "@millrace/proto/group";
import { GapReason } from "@millrace/proto/message";
import { createGapWatch } from "./gap-watch.js";
import { createMember, type Member, type MemberOptions, type OnFailed } from "./group-member.js";
import { type HeldFrame, holdFrame } from "./held-frame.js";
import { createMemberTeller, type TellMembersParts } from "./tell-members.js";
import { createHeldFrames, type HeldFrames, type HeldFramesParts } from "./held-frames.js";

/** What a hub needs of the world. */
export interface HubParts extends Omit<HeldFramesParts, "forget" | "sleep">, TellMembersParts {
  pull(max: number, take: (frame: GroupFrame) => void): Promise<void>;
  endPull(): Promise<void>;
  progress(): Promise<GroupProgress | undefined>;
  /** Where a may-skip group is. */
  readPlace(): Promise<number>;
  writePlace(seq: number): Promise<void>;
  /** Removes what a crash left of frames up to that number. */
  sweep(floorSeq: number): Promise<void>;
  /** Stores a message as a dead letter and tells it. */
  bury(open: OpenBatch, row: number, of: { error: CodedError; attempts: number }): Promise<void>;
  storedNumbers(): Promise<StoredNumbers>;
  now(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  backoffMs(attempt: number): number;
  /** The group as it is now: members add kinds. */
  current(): Group;
}

/** A group's members at this gateway, and the frames that it holds for them. */
export interface GroupHub {
  join(options: Omit<MemberOptions, "group" | "onFailed">): Joined;
  memberCount(): number;
  /** Gives everything back; members are told the reason. */
  close(reason: CodedError): Promise<void>;
}

export interface Joined {
  member: Member;
  /** Something was settled, or there is room to write again. */
  changed(): void;
  /** What the member had is the others'; where it is lost, its attempts count. */
  leave(of: { isLost: boolean }): void;
}

/** 64 KiB of content each as a rule, 1 MiB at most. */
const framesMax = 32;
/** … of which so much makes it wait. */
const heldBytesMax = 32 * 1024 * 1024;
/** Frames of images have up to 8 MiB: after a large one they come one by one. */
const pull = { max: 8, largeBytes: 1024 * 1024 };
/** What is settled is remembered so often: after a kill so much may come again. */
const flushMs = 100;
/** A frame whose rows all wait for longer is given back until then. */
const waitHereMs = 1_000;
const retryMs = 500;
/** A place that is older counts what was settled since with what is gone. */
const placeMs = 1_000;

interface Hub {
  parts: HubParts;
  group: Group;
  members: Set<Member>;
  frames: HeldFrames;
  /** Since when a frame has rows that no member here takes. */
  untaken: Map<HeldFrame, number>;
  signal: AbortSignal;
  /** Wakes the pulling. */
  wake(): void;
  turn: number;
}

export function createGroupHub(group: Group, parts: HubParts): GroupHub {
  const members = new Set<Member>();
  const forget = (held: HeldFrame): void => {
    for (const member of members) member.forget(held);
  };
  const frames = createHeldFrames({ ...parts, forget });
  const closing = new AbortController();
  const { signal } = closing;
  const hub: Hub = {
    parts,
    group,
    members,
    frames,
    untaken: new Map(),
    signal,
    wake: () => undefined,
    turn: 0,
  };
  const onFailed: OnFailed = ({ rows }, row, { error, delayMs, counts = true, isFinal = false }) => {
    const nowMs = parts.now();
    const attempts = rows.attempts(row);
    if (isFinal || (counts && attempts >= group.maxAttempts)) return rows.doom(row, error, nowMs);
    rows.delay(row, { dueMs: nowMs + (delayMs ?? parts.backoffMs(attempts - 1)), nowMs, counts });
  };
  const running = run(hub);
  return {
    join: (options) => {
      const member = createMember({ ...options, group, onFailed });
      members.add(member);
      dispatch(hub);
      return {
        member,
        changed: () => dispatch(hub),
        leave: ({ isLost }) => {
          members.delete(member);
          member.leave({ isLost });
          dispatch(hub);
        },
      };
    },
    memberCount: () => members.size,
    close: async (reason) => {
      closing.abort();
      hub.wake();
      for (const member of members) member.end(reason);
      await parts.endPull();
      await running;
      await Promise.all(frames.all().map((held) => frames.giveBack(held, 0)));
    },
  };
}

async function run(hub: Hub): Promise<void> {
  const { parts, group } = hub;
  const progress = await parts.progress().catch(() => undefined);
  await parts
    .sweep(progress?.floorSeq ?? 0)
    .catch((caught: unknown) => parts.warn("what a crash left of a group is not removed", caught));
  const gaps = createGapWatch(group, parts.storedNumbers);
  gaps.begin(progress, group.maySkip ? await parts.readPlace().catch(() => 0) : 0);
  const arrived = async (frame: GroupFrame): Promise<void> => {
    const heldAt = parts.monotonic();
    const batches = await gaps.missingBefore(frame);
    const gap = { batches, messages: 0, reason: GapReason.GAP_REASON_DISCARDED };
    if (batches > 0) for (const member of hub.members) member.write({ gap });
    const stored = frame.isRedelivered ? await parts.partly.read(frame.seq) : undefined;
    const batch = decodeBatch(frame.data);
    const open = openBatch(batch, batch.body?.$case === "inline" ? batch.body.value : new Uint8Array());
    if (hub.signal.aborted) return frame.nak(0);
    hub.frames.add(holdFrame({ frame, open, group: parts.current(), nowMs: parts.now(), heldAt, stored }));
    dispatch(hub);
  };
  await Promise.all([
    keepPulling(hub, arrived),
    keepTicking(hub),
    ...(group.maySkip ? [keepPlace(hub, gaps.place)] : []),
  ]);
}

/** Remembers up to where the group has its results: what it holds it may still lose. */
async function keepPlace({ parts, signal, frames }: Hub, place: () => number): Promise<void> {
  let written = 0;
  for (let isLast = false; !isLast; ) {
    await parts.sleep(placeMs, signal);
    isLast = signal.aborted;
    const [oldest] = frames.all();
    const seq = oldest === undefined ? place() : oldest.frame.seq - 1;
    if (seq <= written) continue;
    await parts.writePlace(seq).then(
      () => (written = seq),
      (caught: unknown) => parts.warn("a group's place is not remembered, trying again", caught),
    );
  }
}

/** Asks for frames while members have room for more than is ready. */
async function keepPulling(hub: Hub, arrived: (frame: GroupFrame) => Promise<void>): Promise<void> {
  const { parts, signal, frames } = hub;
  while (!signal.aborted) {
    if (!wantsMore(hub)) {
      await new Promise<void>((resolve) => {
        hub.wake = resolve;
      });
      continue;
    }
    const arriving: Promise<void>[] = [];
    const take = (frame: GroupFrame): void => {
      const taken = arrived(frame).catch((caught: unknown) => {
        parts.warn("results of a group not taken, trying again", caught);
        frame.nak(retryMs);
      });
      arriving.push(taken);
    };
    const isLarge = frames.all().some((held) => held.frame.data.length >= pull.largeBytes);
    const max = isLarge ? 1 : Math.min(pull.max, framesMax - frames.all().length);
    await parts.pull(max, take).catch((caught: unknown) => {
      parts.warn("results of a group not read, trying again", caught);
      return parts.sleep(retryMs, signal);
    });
    await Promise.all(arriving);
  }
}

function wantsMore({ members, frames }: Hub): boolean {
  const takers = [...members].filter((member) => member.room() > 0);
  const bytes = frames.all().reduce((sum, held) => sum + held.frame.data.length, 0);
  if (takers.length === 0 || frames.all().length >= framesMax || bytes >= heldBytesMax) return false;
  return !takers.some(({ kinds }) => frames.all().some((held) => held.firstReady(kinds) !== undefined));
}

async function keepTicking(hub: Hub): Promise<void> {
  const { parts, signal, frames, members } = hub;
  const teller = createMemberTeller(parts);
  while (!signal.aborted) {
    await parts.sleep(flushMs, signal);
    for (const member of members) member.expire(parts.now());
    dispatch(hub);
    frames.keep();
    for (const held of frames.all()) returnIdle(hub, held);
    await frames.flush();
    // After the frames are kept: a slow broker must not make them come again.
    await teller.tell(members.size);
  }
  await teller.tell(0);
}

/** Rows to members in turns, each an equal share of what is ready; what is settled or doomed leaves. */
function dispatch(hub: Hub): void {
  const { parts, frames, members } = hub;
  const nowMs = parts.now();
  for (const { rows } of frames.all()) rows.wake(nowMs);
  for (let given = -1; given !== 0; ) {
    given = 0;
    const open = [...members].filter((member) => member.room() > 0);
    const ready = frames.all().reduce((sum, { rows }) => sum + rows.readyCount(), 0);
    if (ready === 0) break;
    const share = Math.ceil(ready / Math.max(1, open.length));
    hub.turn += 1;
    for (const index of open.keys()) {
      given += open[(hub.turn + index) % open.length]?.give(frames.all(), share, nowMs) ?? 0;
    }
  }
  for (const held of frames.all()) void end(hub, held);
  hub.wake();
}

async function end({ parts, frames }: Hub, held: HeldFrame): Promise<void> {
  const { rows } = held;
  for (let next = rows.takeDoomed(); next !== undefined; next = rows.takeDoomed()) {
    const { row, error } = next;
    try {
      await parts.bury(held.open, row, { error, attempts: rows.attempts(row) });
      rows.settle(row);
      held.isDirty = true;
    } catch (caught) {
      parts.warn("message of a group not dead-lettered, trying again", caught);
      rows.doom(row, error, parts.now() + waitHereMs);
    }
  }
  if (rows.isSettled() && frames.has(held)) await frames.finish(held);
}

/**
 * Rows of a kind that no member here takes may have one at another gateway; those that wait for long need no
 * memory of this one.
 */
function returnIdle({ parts, members, frames, untaken }: Hub, held: HeldFrame): void {
  const nowMs = parts.now();
  const { rows } = held;
  const isTaken = [...members].some(({ kinds }) => held.firstReady(kinds) !== undefined);
  const dueMs = rows.nextDueMs();
  const waits = rows.inHandCount() === 0 && !rows.isSettled() && !isTaken && dueMs > nowMs + waitHereMs;
  if (!waits) return void untaken.delete(held);
  const since = untaken.get(held) ?? nowMs;
  untaken.set(held, since);
  const isLong = rows.readyCount() === 0;
  if (!isLong && nowMs - since < waitHereMs) return;
  untaken.delete(held);
  void frames.giveBack(held, isLong ? dueMs - nowMs : Math.min(waitHereMs, dueMs - nowMs));
}
