import { CodedError } from "@millrace/errors";
import type { GroupConsumer, GroupOf, GroupStore } from "@millrace/messaging";
import type {
  DeleteGroupRequest,
  DeleteGroupResponse,
  Group,
  GroupStatus,
  ListGroupsRequest,
  ListGroupsResponse,
} from "@millrace/proto/group";
import type { GroupHubs } from "../../group/group-hubs.js";
import { checkGroupName } from "../../group/group-settings.js";
import { type FindStream, requireStream } from "../../stream/stream-name.js";
import { type DurationOf, wireTime } from "../../stream/wire-duration.js";

export interface GroupParts {
  tenant: string;
  find: FindStream;
  groups: GroupStore;
  hubs: GroupHubs;
  openConsumer(group: Group): GroupConsumer;
  /** Members at all gateways. */
  memberCount(of: GroupOf): Promise<number>;
  /** What a stream's results are from a number on; undefined where there are none. */
  waitingResults(
    of: { tenant: string; stream: string },
    from: number,
  ): Promise<{ messagesPerBatch: number; oldestMs: number } | undefined>;
  /** Removes what is remembered of partly settled results. */
  purgeGroup(of: GroupOf): Promise<void>;
}

export type GroupStatusParts = Omit<GroupParts, "find" | "purgeGroup">;

export const listGroups =
  (parts: GroupParts) =>
  async ({ stream }: ListGroupsRequest): Promise<ListGroupsResponse> => {
    await requireStream(parts.find, { tenant: parts.tenant, name: stream });
    return { groups: await groupsOf(parts, stream) };
  };

/** How each group of a stream is doing. */
export async function groupsOf(parts: GroupStatusParts, stream: string): Promise<GroupStatus[]> {
  const groups = await parts.groups.list(parts.tenant, stream);
  return Promise.all(groups.map((group) => statusOf(parts, group)));
}

async function statusOf(
  { tenant, openConsumer, hubs, memberCount, waitingResults }: GroupStatusParts,
  group: Group,
): Promise<GroupStatus> {
  const of = { tenant, stream: group.stream, group: group.name };
  const [progress, members] = await Promise.all([openConsumer(group).progress(), memberCount(of)]);
  const waitingBatches = (progress?.pending ?? 0) + (progress?.inHand ?? 0);
  const isRead = progress?.isAsked === true || members > 0 || hubs.memberCount(of) > 0;
  const from = Math.max(progress?.floorSeq ?? 0, group.startSeq - 1) + 1;
  const waiting = waitingBatches === 0 ? undefined : await waitingResults(of, from);
  return {
    group,
    waitingBatches,
    inHandBatches: progress?.inHand ?? 0,
    isRead,
    lastSettled: timeOf(progress?.lastSettledMs),
    holdsBack: !group.maySkip && !isRead && waitingBatches > 0,
    waitingMessages: waiting === undefined ? 0 : Math.round(waiting.messagesPerBatch * waitingBatches),
    oldestWaiting: timeOf(waiting?.oldestMs),
    members: Math.max(members, hubs.memberCount(of)),
  };
}

const timeOf = (ms: number | undefined): DurationOf | undefined =>
  ms === undefined ? undefined : wireTime(ms);

export const deleteGroup =
  (parts: GroupParts) =>
  async ({ stream, group: name }: DeleteGroupRequest): Promise<DeleteGroupResponse> => {
    await requireStream(parts.find, { tenant: parts.tenant, name: stream });
    checkGroupName(name, "group");
    const of = { tenant: parts.tenant, stream, group: name };
    const group = await parts.groups.find(of);
    if (group === undefined) {
      throw new CodedError("not_found", `delete group: stream ${stream} has no group ${name}`, {
        field: "group",
        remedy: "List the stream's groups with ListGroups.",
      });
    }
    await removeGroup(parts, of, group);
    return {};
  };

export type RemoveParts = Omit<GroupParts, "find" | "waitingResults" | "memberCount">;

/** All groups of a stream that is deleted. */
export async function removeGroups(parts: RemoveParts, stream: string): Promise<void> {
  for (const group of await parts.groups.list(parts.tenant, stream)) {
    await removeGroup(parts, { tenant: parts.tenant, stream, group: group.name }, group);
  }
}

async function removeGroup(parts: RemoveParts, of: GroupOf, group: Group): Promise<void> {
  // First what others go by: results are not kept for it any more, and its calls end everywhere.
  await parts.groups.remove(of);
  await parts.hubs.end(of, groupDeleted(of.group));
  await parts.openConsumer(group).remove();
  await parts.purgeGroup(of);
}

export function groupDeleted(group: string): CodedError {
  return new CodedError("not_found", `group ${group} was deleted`, {
    field: "open.group",
    remedy: "Open it again to begin anew.",
  });
}
