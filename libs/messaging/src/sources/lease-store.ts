import { CodedError } from "@millrace/errors";
import { SourceLease, SourceMember } from "@millrace/proto/source";
import type { Component } from "@millrace/runtime";
import type { KvEntry } from "@nats-io/kv";
import type { Broker } from "../broker/broker.js";
import { buckets } from "../broker/streams.js";

/** A source as LEASES names it. */
export interface LeaseKey {
  tenant: string;
  stream: string;
  /** The source's. */
  id: string;
}

export interface Kept<T> {
  value: T;
  revision: number;
}

/** What changed in LEASES; without a value it was removed. */
export type LeaseChange =
  | { kind: "source"; key: string; kept: Kept<SourceLease> | undefined }
  | { kind: "member"; instance: string; kept: Kept<SourceMember> | undefined };

/** LEASES as ingestion uses it. Every write is a compare-and-set: undefined tells that another one wrote. */
export interface LeaseStore {
  /** Tells all that is there, then what changes. Resolves once all is told. */
  watch(onChange: (change: LeaseChange) => void, keys?: string[]): Promise<{ stop(): void }>;
  getSource(key: string): Promise<Kept<SourceLease> | undefined>;
  /** `revision` 0: there is none. */
  putSource(key: string, lease: SourceLease, revision: number): Promise<number | undefined>;
  getMember(instance: string): Promise<Kept<SourceMember> | undefined>;
  putMember(instance: string, member: SourceMember, revision: number): Promise<number | undefined>;
  removeMember(instance: string): Promise<void>;
}

export const leaseKeyOf = ({ tenant, stream, id }: LeaseKey): string => `source.${tenant}.${stream}.${id}`;
const memberKey = (instance: string): string => `member.${instance}`;

/** At which revision each source was last taken or handed back, kept up to date. */
export interface LeaseEpochs extends Component {
  /** 0: never, as far as is known. */
  epochOf(of: LeaseKey): number;
}

export async function createLeaseEpochs(broker: Broker): Promise<LeaseEpochs> {
  const store = await createLeaseStore(broker);
  const epochs = new Map<string, number>();
  let close = (): void => undefined;
  return {
    name: "lease-epochs",
    start: async () => {
      const watch = await store.watch(
        (change) => {
          if (change.kind === "source" && change.kept) epochs.set(change.key, change.kept.revision);
          else if (change.kind === "source") epochs.delete(change.key);
        },
        ["source.>"],
      );
      close = watch.stop;
    },
    stop: async () => close(),
    epochOf: (of) => epochs.get(leaseKeyOf(of)) ?? 0,
  };
}

export async function createLeaseStore(broker: Broker): Promise<LeaseStore> {
  const bucket = await broker.kv.open(buckets.leases, { allow_direct: true });
  const get = async (key: string): Promise<KvEntry | undefined> => {
    const found = await bucket.get(key).catch(noAnswer);
    return found?.operation === "PUT" ? found : undefined;
  };
  const put = async (key: string, data: Uint8Array, revision: number): Promise<number | undefined> => {
    try {
      // `create` also writes over the mark of a removed key.
      return await (revision === 0 ? bucket.create(key, data) : bucket.update(key, data, revision));
    } catch (caught) {
      if (/wrong last/i.test(String(caught))) return undefined;
      return noAnswer(caught);
    }
  };
  return {
    watch: async (onChange, keys = ["source.>", "member.>"]) => {
      let revision = 0;
      for await (const entry of await bucket.history({ key: keys })) {
        onChange(changeOf(entry));
        revision = Math.max(revision, entry.revision);
      }
      const resume = revision === 0 ? {} : { resumeFromRevision: revision + 1 };
      const watch = await bucket.watch({ key: keys, ...resume });
      void (async () => {
        for await (const entry of watch) onChange(changeOf(entry));
      })();
      return { stop: () => watch.stop() };
    },
    getSource: async (key) => keptOf(await get(key), SourceLease),
    putSource: (key, lease, revision) => put(key, SourceLease.encode(lease).finish(), revision),
    getMember: async (instance) => keptOf(await get(memberKey(instance)), SourceMember),
    putMember: (instance, member, revision) =>
      put(memberKey(instance), SourceMember.encode(member).finish(), revision),
    removeMember: async (instance) => {
      await bucket.delete(memberKey(instance)).catch(noAnswer);
    },
  };
}

function changeOf(entry: KvEntry): LeaseChange {
  const live = entry.operation === "PUT" ? entry : undefined;
  const [noun, instance = ""] = entry.key.split(".");
  if (noun === "member") return { kind: "member", instance, kept: keptOf(live, SourceMember) };
  return { kind: "source", key: entry.key, kept: keptOf(live, SourceLease) };
}

function keptOf<T>(
  entry: KvEntry | undefined,
  { decode }: { decode(data: Uint8Array): T },
): Kept<T> | undefined {
  return entry === undefined ? undefined : { value: decode(entry.value), revision: entry.revision };
}

function noAnswer(cause: unknown): never {
  throw new CodedError("unavailable", "leases of sources: no answer from the broker", { cause });
}
