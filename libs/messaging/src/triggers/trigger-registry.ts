import { CodedError } from "@millrace/errors";
import { Trigger, TriggerReport } from "@millrace/proto/trigger";
import type { Component } from "@millrace/runtime";
import type { KvEntry } from "@nats-io/kv";
import type { Broker } from "../broker/broker.js";
import { buckets } from "../broker/streams.js";
import { triggerKey, type TriggerName, triggerNameOf } from "./trigger-name.js";

export interface TriggerChange extends TriggerName {
  /** Undefined: deleted. */
  trigger: Trigger | undefined;
}

/** A live view of the triggers in CONFIG. */
export interface TriggerRegistry extends Component {
  get(of: TriggerName): Trigger | undefined;
  list(tenant: string): Trigger[];
  /** Told of those that are stored when the registry starts as well. */
  onTrigger(listener: (change: TriggerChange) => void): void;
}

/** Writing side, for gateway only. */
export interface TriggerStore {
  /** As it is stored now, which the registry may not know yet. */
  read(of: TriggerName): Promise<{ trigger: Trigger; revision: number } | undefined>;
  /** `revision` 0: it is a new one. Errors: `aborted` where it was written by another since. */
  put(tenant: string, trigger: Trigger, revision: number): Promise<void>;
  remove(of: TriggerName): Promise<void>;
}

const watched = "trigger.>";

export async function createTriggerRegistry(broker: Broker): Promise<TriggerRegistry> {
  const bucket = await broker.kv.open(buckets.config, { allow_direct: true });
  const triggers = new Map<string, Trigger>();
  const listeners: ((change: TriggerChange) => void)[] = [];
  const apply = (entry: KvEntry): void => {
    const of = triggerNameOf(entry.key);
    const trigger = entry.operation === "PUT" ? Trigger.decode(entry.value) : undefined;
    if (trigger === undefined) triggers.delete(entry.key);
    else triggers.set(entry.key, trigger);
    for (const listener of listeners) listener({ ...of, trigger });
  };
  let close = (): void => undefined;
  return {
    name: "trigger-registry",
    start: async () => {
      let revision = 0;
      for await (const entry of await bucket.history({ key: watched })) {
        apply(entry);
        revision = Math.max(revision, entry.revision);
      }
      const resume = revision === 0 ? {} : { resumeFromRevision: revision + 1 };
      const watch = await bucket.watch({ key: watched, ...resume });
      close = () => watch.stop();
      void (async () => {
        for await (const entry of watch) apply(entry);
      })();
    },
    stop: async () => close(),
    get: (of) => triggers.get(triggerKey(of)),
    list: (tenant) =>
      [...triggers].filter(([key]) => triggerNameOf(key).tenant === tenant).map(([, trigger]) => trigger),
    onTrigger: (listener) => void listeners.push(listener),
  };
}

export async function createTriggerStore(broker: Broker): Promise<TriggerStore> {
  const bucket = await broker.kv.open(buckets.config, { allow_direct: true });
  const entryOf = (of: TriggerName): Promise<KvEntry | null> =>
    bucket.get(triggerKey(of)).catch((cause: unknown) => {
      throw unavailable("read", cause);
    });
  return {
    read: async (of) => {
      const found = await entryOf(of);
      if (found === null || found.operation !== "PUT") return undefined;
      return { trigger: Trigger.decode(found.value), revision: found.revision };
    },
    put: async (tenant, trigger, revision) => {
      const of = { tenant, stream: trigger.stream, id: trigger.id };
      // One that was deleted left its last revision behind.
      const previousSeq = revision === 0 ? ((await entryOf(of))?.revision ?? 0) : revision;
      try {
        await bucket.put(triggerKey(of), Trigger.encode(trigger).finish(), { previousSeq });
      } catch (cause) {
        if (!/wrong last/i.test(String(cause))) throw unavailable("write", cause);
        const remedy = "Read it and try again.";
        throw new CodedError("aborted", "write trigger: changed by another", { remedy, cause });
      }
    },
    remove: async (of) => {
      await bucket.delete(triggerKey(of)).catch((cause: unknown) => {
        throw unavailable("remove", cause);
      });
    },
  };
}

/** What output says of its triggers, and gateway shows. */
export interface TriggerReports {
  read(of: TriggerName): Promise<TriggerReport | undefined>;
  write(of: TriggerName, report: TriggerReport): Promise<void>;
  remove(of: TriggerName): Promise<void>;
}

export async function openTriggerReports(broker: Broker): Promise<TriggerReports> {
  const bucket = await broker.kv.open(buckets.reports, { allow_direct: true });
  return {
    read: async (of) => {
      const found = await bucket.get(triggerKey(of)).catch((cause: unknown) => {
        throw unavailable("read report of", cause);
      });
      return found?.operation === "PUT" ? TriggerReport.decode(found.value) : undefined;
    },
    write: async (of, report) => {
      await bucket.put(triggerKey(of), TriggerReport.encode(report).finish());
    },
    remove: async (of) => bucket.purge(triggerKey(of)),
  };
}

function unavailable(what: string, cause: unknown): CodedError {
  return new CodedError("unavailable", `${what} trigger: no answer from the broker`, { cause });
}
