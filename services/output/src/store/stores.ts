import { CodedError } from "@millrace/errors";
import { findingName, type OpenBatch } from "@millrace/envelope";
import type { Ledger, StreamRegistry } from "@millrace/messaging";
import { Storage, StorageFormat, type Stream } from "@millrace/proto/stream";
import type { Component, Runtime } from "@millrace/runtime";
import type { OutputConfig } from "../config.js";
import { asStreamBlock } from "./stream-block.js";
import { openStorageSink, type StorageSink } from "../storage/storage-sink.js";

/** The files of all streams: one storage sink each, committed in groups. */
export interface Stores extends Component {
  /**
   * Resolves when the batch's rows are synced and in the ledger, with the rows that the format can't hold.
   */
  store(open: OpenBatch, stream: Stream): Promise<number[]>;
}

export interface StoresOptions {
  config: OutputConfig["storage"];
  instance: string;
  ledger: Ledger;
  registry: StreamRegistry;
  /** Throws `aborted` where a mapped body is not any more what was opened. */
  stillTrue(open: OpenBatch): void;
  runtime: Runtime;
}

interface Store {
  tenant: string;
  stream: string;
  sink: StorageSink;
  waiting: { resolve(): void; reject(error: unknown): void }[];
}

/** A store under its settings; with other ones it is closed and opened anew. */
interface Entry {
  settings: Uint8Array;
  opened: Promise<Store>;
  /** Once it is opened. */
  store: Store | undefined;
  /** Batches that are in it: it is closed behind the last one. */
  users: number;
}

/** Idle stores are looked at this often, for files that are due by age. */
const idleIntervalMs = 500;

export function createStores(options: StoresOptions): Stores {
  const { config, ledger, registry, runtime } = options;
  const stores = new Map<string, Entry>();
  /** Stores that are being closed; one that is opened in their place waits, since they share their files. */
  const retiring = new Map<string, Promise<void>>();
  let closed = false;
  let wake: (() => void) | undefined;

  /** The store of the stream as it is set up now. */
  const open = (tenant: string, stream: Stream): Entry => {
    const key = `${tenant}/${stream.name}`;
    const settings = settingsOf(stream);
    const known = stores.get(key);
    if (known !== undefined && Buffer.compare(known.settings, settings) === 0) return known;
    if (known !== undefined) retire(key, known);
    const before = retiring.get(key) ?? Promise.resolve();
    const opened = before.then(() => openStore(tenant, stream));
    const entry: Entry = { settings, opened, store: undefined, users: 0 };
    opened.then(
      (store) => (entry.store = store),
      () => stores.get(key) === entry && stores.delete(key),
    );
    stores.set(key, entry);
    return entry;
  };

  /** Takes no more batches; what is in it is committed before it closes. */
  const retire = (key: string, entry: Entry): void => {
    stores.delete(key);
    const before = retiring.get(key) ?? Promise.resolve();
    const gone = before
      .then(() => entry.opened)
      .then(
        async (store) => {
          while (entry.users > 0) {
            await commit(store);
            await runtime.clock.sleep(config.commitIntervalMs);
          }
          // Whoever took storage away still sees all that was stored.
          await store.sink.rollAll();
          await store.sink.close();
        },
        // It was never opened: there is nothing to close.
        () => undefined,
      )
      .catch((caught: unknown) => {
        const error = CodedError.from(caught, "close storage");
        if (error.code === "internal") runtime.fail(error);
        else runtime.log.warn("storage closed with parts that are not published", { code: error.code });
      })
      .finally(() => {
        if (retiring.get(key) === gone) retiring.delete(key);
      });
    retiring.set(key, gone);
  };

  const openStore = async (tenant: string, stream: Stream): Promise<Store> => {
    const settings = stream.outputs?.storage;
    const sink = await openStorageSink({
      root: config.root,
      tenant,
      stream: stream.name,
      writer: `output-${options.instance}`,
      format: settings?.format === StorageFormat.STORAGE_FORMAT_LINES ? "lines" : "records",
      loadSettled: async (source) =>
        (await ledger.account({ tenant, stream: stream.name, source })).settled.intervals(),
      // One writer a stream in this release, so the ledger's intervals are all its own.
      settledElsewhere: () => [],
      findingName,
      now: runtime.clock.now,
      ...(settings?.rollBytes ? { rollBytes: settings.rollBytes } : {}),
      retainBytes: settings?.retainBytes ?? 0,
      ...(settings?.rollAge === undefined
        ? {}
        : { rollAgeMs: settings.rollAge.seconds * 1000 + settings.rollAge.nanos / 1e6 }),
    });
    const store: Store = { tenant, stream: stream.name, sink, waiting: [] };
    await catchUp(store);
    return store;
  };

  /** What a crash left between a file's commit and the ledger is told to the ledger now. */
  const catchUp = async ({ tenant, stream, sink }: Store): Promise<void> => {
    for (const entry of sink.recovery.entries) {
      const key = { tenant, stream, source: entry.source };
      const { settled } = await ledger.account(key);
      const known = entry.intervals.every((interval) => settled.missing(interval).length === 0);
      if (!known) ledger.settle(key, { intervals: entry.intervals, done: entry.messages });
    }
    await ledger.flush();
  };

  const commit = async (store: Store): Promise<void> => {
    const { tenant, stream, sink } = store;
    const waiting = store.waiting.splice(0);
    try {
      for (const entry of await sink.commit()) {
        ledger.settle(
          { tenant, stream, source: entry.source },
          { intervals: entry.intervals, done: entry.messages },
        );
      }
      await ledger.flush();
      for (const waiter of waiting) waiter.resolve();
      await sink.rollIfDue();
    } catch (caught) {
      const error = CodedError.from(caught, "commit storage");
      for (const waiter of waiting) waiter.reject(asStreamBlock(error));
      if (error.code === "internal") runtime.fail(error);
      else
        runtime.log.warn("storage not committed, trying again", { code: error.code, error: error.message });
    }
  };

  const storeIn = async (store: Store, batch: OpenBatch): Promise<number[]> => {
    const staged = await store.sink.stage(batch, () => options.stillTrue(batch));
    if (staged.repeated.length > 0) {
      const dropped = { repeated_key: staged.repeated.length };
      ledger.settle(batch.header, { intervals: staged.repeatedIntervals, dropped });
    }
    if (staged.stored > 0 || staged.settled > 0) {
      const committed = new Promise<void>((resolve, reject) => store.waiting.push({ resolve, reject }));
      if (store.sink.pendingBytes() >= config.commitBytes) wake?.();
      await committed;
    }
    return staged.rejected;
  };

  const loop = async (): Promise<void> => {
    let idleSince = 0;
    while (!closed) {
      const woken = new Promise<void>((resolve) => (wake = resolve));
      await Promise.race([runtime.clock.sleep(config.commitIntervalMs), woken]);
      const now = runtime.clock.monotonic();
      const lookAtIdle = now - idleSince >= idleIntervalMs;
      if (lookAtIdle) idleSince = now;
      // One that is still being opened holds up no other.
      for (const { store } of stores.values()) {
        if (store !== undefined && (store.waiting.length > 0 || lookAtIdle)) await commit(store);
      }
    }
  };

  registry.onStream(({ tenant, name, stream }) => {
    const key = `${tenant}/${name}`;
    if (stream?.outputs?.storage !== undefined) {
      // Its batches wait for it, and say why; what another error means shows when they come.
      open(tenant, stream).opened.catch((caught: unknown) =>
        runtime.log.warn("storage not opened", { stream: name, error: asStreamBlock(caught).message }),
      );
    } else {
      const entry = stores.get(key);
      if (entry !== undefined) retire(key, entry);
    }
  });

  let running: Promise<void> | undefined;
  return {
    name: "stores",
    start: async () => {
      running = loop();
    },
    stop: async () => {
      closed = true;
      wake?.();
      await running;
      await Promise.all(retiring.values());
      for (const { opened } of stores.values()) {
        const store = await opened;
        await commit(store);
        await store.sink.close();
      }
    },
    store: async (batch, stream) => {
      const entry = open(batch.header.tenant, stream);
      entry.users += 1;
      try {
        return await storeIn(await entry.opened, batch);
      } catch (caught) {
        throw asStreamBlock(caught);
      } finally {
        entry.users -= 1;
      }
    },
  };
}

function settingsOf(stream: Stream): Uint8Array {
  const { storage } = stream.outputs ?? {};
  return storage === undefined ? new Uint8Array() : Storage.encode(storage).finish();
}
