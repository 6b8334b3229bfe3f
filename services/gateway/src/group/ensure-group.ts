import { CodedError } from "@millrace/errors";
import type { GroupConsumer, GroupOf, GroupStore } from "@millrace/messaging";
import type { Group, Open } from "@millrace/proto/group";
import { StartAt } from "@millrace/proto/message";
import type { Stream } from "@millrace/proto/stream";
import { joined, newGroup } from "./group-settings.js";

export interface EnsureParts {
  groups: GroupStore;
  openConsumer(group: Group): GroupConsumer;
  /** First and last number of the results of all streams. */
  resultBounds(): Promise<{ first: number; last: number }>;
  clock: { now(): number };
}

const tries = 5;

/** The group, made or found, with this member's kinds; others may make or change it meanwhile. */
export async function ensureGroup(
  parts: EnsureParts,
  of: GroupOf,
  { asked, stream }: { asked: Open; stream: Stream },
): Promise<Group> {
  for (let tried = 0; tried < tries; tried++) {
    const found = await parts.groups.find(of);
    const isThere = found?.streamCreatedMs === stream.createdMs;
    const wanted = isThere && found !== undefined ? joined(found, asked) : await begin(parts, asked, stream);
    // Before it is told of: whoever keeps results for it looks where it is.
    await parts.openConsumer(wanted).ensure();
    const group = wanted === found ? found : await parts.groups.put(of, wanted, found);
    if (group !== undefined) return group;
    if (!isThere) await parts.openConsumer(wanted).remove();
  }
  throw new CodedError("aborted", `consume: group ${of.group} is changed by others`, {
    remedy: "Try again.",
  });
}

async function begin({ resultBounds, clock }: EnsureParts, asked: Open, stream: Stream): Promise<Group> {
  const { first, last } = await resultBounds();
  const startSeq = asked.startAt === StartAt.START_AT_EARLIEST ? Math.max(1, first) : last + 1;
  return newGroup(asked, stream, { nowMs: clock.now(), startSeq });
}
