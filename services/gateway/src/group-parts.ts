import {
  ackWaitMs,
  type Broker,
  createDeadLetterWriter,
  createGroupStore,
  createPublisher,
  defaultTenant,
  type GroupConsumer,
  type GroupOf,
  openGroupConsumer,
  openPartlySettled,
  storedNumbers,
  watchGroups,
} from "@millrace/messaging";
import type { Group } from "@millrace/proto/group";
import { backoffMs, type Component, type Runtime } from "@millrace/runtime";
import type { HubParts } from "./group/group-hub.js";
import { createGroupHubs } from "./group/group-hubs.js";
import { membersLastMs } from "./group/tell-members.js";
import { type GroupParts, groupDeleted, removeGroups } from "./handlers/group/manage-groups.js";

const tenant = defaultTenant;

/** After the first failed attempt a second, then twice as long each time. */
const retries = { firstMs: 1_000, maxMs: 60_000 };

export interface Groups {
  components: Component[];
  parts: Pick<GroupParts, "groups" | "hubs" | "openConsumer" | "memberCount" | "purgeGroup"> & {
    removeGroups(stream: string): Promise<void>;
  };
}

/** What Consume needs of the broker. */
export async function createGroups(broker: Broker, runtime: Runtime, instance: string): Promise<Groups> {
  const { clock, random, log } = runtime;
  const watch = await watchGroups(broker);
  const groups = await createGroupStore(broker);
  const partly = await openPartlySettled(broker);
  const publisher = createPublisher(broker);
  const openConsumer = (group: Group): GroupConsumer => openGroupConsumer(broker, clock, { tenant, group });
  const partsOf = (of: GroupOf, group: Group): HubParts => {
    const by = `${group.name}-${group.createdMs}`;
    const letters = createDeadLetterWriter({
      publisher,
      stage: "consume",
      side: "clean",
      by,
      now: clock.now,
    });
    const found = (): Group | undefined => watch.of(tenant, of.stream).find(({ name }) => name === of.group);
    return {
      ...openConsumer(group),
      partly: {
        read: (seq) => partly.read(of, seq),
        write: (seq, entry) => partly.write(of, seq, entry),
        remove: (seq) => partly.remove(of, seq),
      },
      tellMembers: (count) => partly.writeMembers(of, instance, count),
      readPlace: () => partly.readPlace(of),
      writePlace: (seq) => partly.writePlace(of, seq),
      sweep: (floorSeq) => partly.sweep(of, floorSeq),
      bury: (open, row, { error, attempts }) => letters.write(open, [row], error, attempts),
      storedNumbers: () => storedNumbers(broker, "RESULT"),
      now: clock.now,
      monotonic: clock.monotonic,
      sleep: clock.sleep,
      backoffMs: (attempt) => backoffMs(attempt, random, retries),
      current: () => found() ?? group,
      warn: (what, error) => log.warn(what, { group: of.group, stream: of.stream, error: String(error) }),
      ackWaitMs,
    };
  };
  const hubs = createGroupHubs(partsOf);
  // Deleted through another gateway.
  watch.onRemoved((of) => void hubs.end(of, groupDeleted(of.group)));
  const memberCount = async (of: GroupOf): Promise<number> => {
    const told = (await partly.readMembers(of)).filter(({ toldMs }) => clock.now() - toldMs < membersLastMs);
    return told.reduce((sum, { count }) => sum + count, 0);
  };
  const purgeGroup = (of: GroupOf): Promise<void> => partly.purge(of);
  const parts = { tenant, groups, hubs, openConsumer, memberCount, purgeGroup };
  return {
    components: [watch, hubs],
    parts: {
      ...parts,
      removeGroups: (stream) => removeGroups(parts, stream),
    },
  };
}
