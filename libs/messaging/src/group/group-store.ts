import { CodedError } from "@millrace/errors";
import { Group } from "@millrace/proto/group";
import type { Component } from "@millrace/runtime";
import type { KV } from "@nats-io/kv";
import type { Broker } from "../broker/broker.js";
import { buckets } from "../broker/streams.js";
import { storedKeys } from "../state/tail.js";
import { type GroupOf, groupKey } from "./group-keys.js";

/** The groups in CONFIG; only gateway may write. Errors: `unavailable`. */
export interface GroupStore {
  find(of: GroupOf): Promise<Group | undefined>;
  /** Undefined where it was written by another since it was read as `before`. */
  put(of: GroupOf, group: Group, before: Group | undefined): Promise<Group | undefined>;
  list(tenant: string, stream: string): Promise<Group[]>;
  remove(of: GroupOf): Promise<void>;
}

export async function createGroupStore(broker: Broker): Promise<GroupStore> {
  const bucket: KV = await broker.kv.open(buckets.config, { allow_direct: true });
  const read = async (key: string): Promise<{ group: Group | undefined; revision: number }> => {
    const entry = await answered(bucket.get(key));
    const group = entry?.operation === "PUT" ? Group.decode(entry.value) : undefined;
    return { group, revision: entry?.revision ?? 0 };
  };
  return {
    find: async (of) => (await read(groupKey(of))).group,
    put: async (of, group, before) => {
      const there = await read(groupKey(of));
      if (!isSame(there.group, before)) return undefined;
      try {
        await bucket.put(groupKey(of), Group.encode(group).finish(), { previousSeq: there.revision });
        return group;
      } catch (cause) {
        if (/wrong last/i.test(String(cause))) return undefined;
        throw unanswered(cause);
      }
    },
    list: async (tenant, stream) => {
      const keys = await storedKeys(broker, buckets.config, `group.${tenant}.${stream}.*`);
      const found = await Promise.all(keys.map(read));
      return found.flatMap(({ group }) => (group === undefined ? [] : [group]));
    },
    remove: (of) => answered(bucket.delete(groupKey(of))),
  };
}

const isSame = (one: Group | undefined, other: Group | undefined): boolean =>
  one === undefined || other === undefined
    ? one === other
    : Buffer.compare(Group.encode(one).finish(), Group.encode(other).finish()) === 0;

function unanswered(cause: unknown): CodedError {
  return new CodedError("unavailable", "look up group: no answer from the broker", { cause });
}

function answered<T>(call: Promise<T>): Promise<T> {
  return call.catch((cause: unknown) => {
    throw unanswered(cause);
  });
}

/** A live view of all groups. */
export interface GroupWatch extends Component {
  of(tenant: string, stream: string): Group[];
  /** Told of a group that is not there any more. */
  onRemoved(listener: (of: GroupOf) => void): void;
}

export async function watchGroups(broker: Broker): Promise<GroupWatch> {
  const bucket = await broker.kv.open(buckets.config, { allow_direct: true });
  const byStream = new Map<string, Map<string, Group>>();
  const listeners: ((of: GroupOf) => void)[] = [];
  let close = (): void => undefined;
  return {
    name: "groups",
    start: async () => {
      const apply = (key: string, group: Group | undefined): void => {
        const [, tenant = "", stream = "", name = ""] = key.split(".");
        const groups = byStream.get(`${tenant}.${stream}`) ?? new Map<string, Group>();
        byStream.set(`${tenant}.${stream}`, groups);
        if (group !== undefined) groups.set(name, group);
        else if (groups.delete(name)) for (const tell of listeners) tell({ tenant, stream, group: name });
        if (groups.size === 0) byStream.delete(`${tenant}.${stream}`);
      };
      let revision = 0;
      // What is stored first: whoever asks after the start is answered from all of it.
      for await (const entry of await bucket.history({ key: "group.>" })) {
        apply(entry.key, entry.operation === "PUT" ? Group.decode(entry.value) : undefined);
        revision = Math.max(revision, entry.revision);
      }
      const resume = revision === 0 ? {} : { resumeFromRevision: revision + 1 };
      const watch = await bucket.watch({ key: "group.>", ...resume });
      close = () => watch.stop();
      void (async () => {
        for await (const { key, operation, value } of watch) {
          apply(key, operation === "PUT" ? Group.decode(value) : undefined);
        }
      })();
    },
    stop: async () => close(),
    of: (tenant, stream) => [...(byStream.get(`${tenant}.${stream}`)?.values() ?? [])],
    onRemoved: (listener) => void listeners.push(listener),
  };
}
