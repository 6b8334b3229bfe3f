import { CodedError } from "@millrace/errors";
import { PartlySettled } from "@millrace/proto/group";
import type { Broker } from "../broker/broker.js";
import { buckets } from "../broker/streams.js";
import { storedKeys } from "../state/tail.js";
import type { GroupOf } from "./group-keys.js";

/*
 * GROUPS: what is settled of frames that their group has settled in part,
 * `<tenant>.<stream>.<group>.<seq>`, where may-skip groups are, `….place`, and who works in them,
 * `….members.<gateway>`.
 *
 *   rows settled ─► written at most every 100 ms ─► all settled ─► frame acknowledged ─► entry removed
 *                        └─ gateway dies: whoever is given the frame next reads it, and goes on from there
 */
export interface PartlySettledStore {
  read(of: GroupOf, seq: number): Promise<{ state: PartlySettled; revision: number } | undefined>;
  /**
   * Resolves with its revision. Errors: `aborted` where another gateway wrote it since `revision`: the frame
   * is not this one's any more.
   */
  write(of: GroupOf, seq: number, entry: { state: PartlySettled; revision: number }): Promise<number>;
  remove(of: GroupOf, seq: number): Promise<void>;
  /** Up to where a may-skip group has its results; 0: from its start. */
  readPlace(of: GroupOf): Promise<number>;
  writePlace(of: GroupOf, seq: number): Promise<void>;
  /** How many members a gateway has; 0 removes what it told. */
  writeMembers(of: GroupOf, gateway: string, count: number): Promise<void>;
  /** What each gateway told, and when. */
  readMembers(of: GroupOf): Promise<{ count: number; toldMs: number }[]>;
  /** What a crash left of frames up to that number, which the group has settled. */
  sweep(of: GroupOf, floorSeq: number): Promise<void>;
  /** All of a group. */
  purge(of: GroupOf): Promise<void>;
}

const bucketStream = `KV_${buckets.groups}`;
const prefixOf = ({ tenant, stream, group }: GroupOf): string => `${tenant}.${stream}.${group}`;

export async function openPartlySettled(broker: Broker): Promise<PartlySettledStore> {
  const bucket = await broker.kv.open(buckets.groups, { allow_direct: true });
  const placeOf = (of: GroupOf): string => `${prefixOf(of)}.place`;
  const membersOf = (of: GroupOf, gateway: string): string => `${prefixOf(of)}.members.${gateway}`;
  const keyOf = (of: GroupOf, seq: number): string => `${prefixOf(of)}.${seq}`;
  // Not deleted, which would leave a marker an entry.
  const purge = async (filter: string): Promise<void> => {
    await broker.manager.streams.purge(bucketStream, { filter }).catch((cause: unknown) => {
      throw new CodedError("unavailable", "settle results: no answer from the broker", { cause });
    });
  };
  return {
    read: async (of, seq) => {
      const entry = await bucket.get(keyOf(of, seq)).catch((cause: unknown) => {
        throw new CodedError("unavailable", "read what is settled: no answer from the broker", { cause });
      });
      if (entry?.operation !== "PUT") return undefined;
      return { state: PartlySettled.decode(entry.value), revision: entry.revision };
    },
    write: async (of, seq, { state, revision }) => {
      try {
        const data = PartlySettled.encode(state).finish();
        return await bucket.put(keyOf(of, seq), data, { previousSeq: revision });
      } catch (cause) {
        const isOther = /wrong last/i.test(String(cause));
        const why = isOther ? "written by another gateway" : "no answer from the broker";
        throw new CodedError(isOther ? "aborted" : "unavailable", `remember what is settled: ${why}`, {
          cause,
        });
      }
    },
    readPlace: async (of) => {
      const entry = await bucket.get(placeOf(of)).catch((cause: unknown) => {
        throw new CodedError("unavailable", "read a group's place: no answer from the broker", { cause });
      });
      return entry?.operation === "PUT" ? Number(entry.string()) : 0;
    },
    writePlace: async (of, seq) => {
      await bucket.put(placeOf(of), String(seq)).catch((cause: unknown) => {
        throw new CodedError("unavailable", "remember a group's place: no answer from the broker", { cause });
      });
    },
    writeMembers: async (of, gateway, count) => {
      const key = membersOf(of, gateway);
      if (count === 0) return purge(`$KV.${buckets.groups}.${key}`);
      await bucket.put(key, String(count)).catch((cause: unknown) => {
        throw new CodedError("unavailable", "tell members: no answer from the broker", { cause });
      });
    },
    readMembers: async (of) => {
      const keys = await storedKeys(broker, buckets.groups, membersOf(of, "*"));
      const entries = await Promise.all(keys.map((key) => bucket.get(key))).catch((cause: unknown) => {
        throw new CodedError("unavailable", "read members: no answer from the broker", { cause });
      });
      return entries.flatMap((entry) =>
        entry?.operation === "PUT"
          ? [{ count: Number(entry.string()), toldMs: entry.created.getTime() }]
          : [],
      );
    },
    remove: (of, seq) => purge(`$KV.${buckets.groups}.${keyOf(of, seq)}`),
    sweep: async (of, floorSeq) => {
      for (const key of await storedKeys(broker, buckets.groups, `${prefixOf(of)}.*`)) {
        if (Number(key.split(".").at(-1)) <= floorSeq) await purge(`$KV.${buckets.groups}.${key}`);
      }
    },
    purge: (of) => purge(`$KV.${buckets.groups}.${prefixOf(of)}.>`),
  };
}
