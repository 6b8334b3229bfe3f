import { CodedError } from "@millrace/errors";
import type { GroupOf } from "@millrace/messaging";
import type { Group } from "@millrace/proto/group";
import type { Component } from "@millrace/runtime";
import { createGroupHub, type GroupHub, type HubParts, type Joined } from "./group-hub.js";
import type { MemberOptions } from "./group-member.js";

/** The hub of each group that has members at this gateway; it ends with the last of them. */
export interface GroupHubs extends Component {
  join(of: GroupOf, group: Group, options: Omit<MemberOptions, "group" | "onFailed">): Membership;
  /** Ends the group's calls, and resolves when nothing of it is held here. */
  end(of: GroupOf, reason: CodedError): Promise<void>;
  memberCount(of: GroupOf): number;
}

export interface Membership extends Pick<Joined, "member" | "changed"> {
  leave(of: { isLost: boolean }): Promise<void>;
}

const keyOf = ({ tenant, stream, group }: GroupOf): string => `${tenant}.${stream}.${group}`;

export function createGroupHubs(partsOf: (of: GroupOf, group: Group) => HubParts): GroupHubs {
  const hubs = new Map<string, { hub: GroupHub; createdMs: number }>();
  const stopping = new CodedError("unavailable", "the gateway is stopping", { remedy: "Connect again." });
  const close = async (key: string, reason: CodedError): Promise<void> => {
    const open = hubs.get(key);
    hubs.delete(key);
    await open?.hub.close(reason);
  };
  return {
    name: "groups",
    join: (of, group, options) => {
      const key = keyOf(of);
      const there = hubs.get(key);
      const open =
        there?.createdMs === group.createdMs
          ? there
          : { hub: createGroupHub(group, partsOf(of, group)), createdMs: group.createdMs };
      hubs.set(key, open);
      const joined = open.hub.join(options);
      return {
        ...joined,
        leave: async (how) => {
          joined.leave(how);
          if (open.hub.memberCount() === 0 && hubs.get(key) === open) await close(key, stopping);
        },
      };
    },
    end: (of, reason) => close(keyOf(of), reason),
    memberCount: (of) => hubs.get(keyOf(of))?.hub.memberCount() ?? 0,
    stop: async () => {
      await Promise.all([...hubs.keys()].map((key) => close(key, stopping)));
    },
  };
}
