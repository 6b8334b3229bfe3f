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

export interface GroupParts {
  tenant: string;
  find: FindStream;
  groups: GroupStore;
  hubs: GroupHubs;
  openConsumer(group: Group): GroupConsumer;
  /** Removes what is remembered of partly settled results. */
  purgeGroup(of: GroupOf): Promise<void>;
}

export const listGroups =
  (parts: GroupParts) =>
  async ({ stream }: ListGroupsRequest): Promise<ListGroupsResponse> => {
    await requireStream(parts.find, { tenant: parts.tenant, name: stream });
    const groups = await parts.groups.list(parts.tenant, stream);
    return { groups: await Promise.all(groups.map((group) => statusOf(parts, group))) };
  };

async function statusOf({ tenant, openConsumer, hubs }: GroupParts, group: Group): Promise<GroupStatus> {
  const progress = await openConsumer(group).progress();
  const of = { tenant, stream: group.stream, group: group.name };
  const waitingBatches = (progress?.pending ?? 0) + (progress?.inHand ?? 0);
  const isRead = progress?.isAsked === true || hubs.memberCount(of) > 0;
  const settledMs = progress?.lastSettledMs;
  return {
    group,
    waitingBatches,
    inHandBatches: progress?.inHand ?? 0,
    isRead,
    lastSettled:
      settledMs === undefined
        ? undefined
        : { seconds: Math.floor(settledMs / 1000), nanos: (settledMs % 1000) * 1e6 },
    holdsBack: !group.maySkip && !isRead && waitingBatches > 0,
  };
}

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

/** All groups of a stream that is deleted. */
export async function removeGroups(parts: Omit<GroupParts, "find">, stream: string): Promise<void> {
  for (const group of await parts.groups.list(parts.tenant, stream)) {
    await removeGroup(parts, { tenant: parts.tenant, stream, group: group.name }, group);
  }
}

async function removeGroup(parts: Omit<GroupParts, "find">, of: GroupOf, group: Group): Promise<void> {
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
