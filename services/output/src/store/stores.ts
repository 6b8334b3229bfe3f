import { CodedError } from "@millrace/errors";
import type { OpenBatch } from "@millrace/envelope";
import type { StreamRegistry } from "@millrace/messaging";
import { Storage, type Stream } from "@millrace/proto/stream";
import type { Component } from "@millrace/runtime";
import { type Again, openStore, type Store, type StoreOptions } from "./store.js";
import { asStreamBlock } from "./stream-block.js";

/** The files of all streams: a store each, none of which waits for another. */
export interface Stores extends Component {
  /**
   * Resolves when the batch's rows are synced and in the ledger, with the rows that the format can't hold.
   */
  store(open: OpenBatch, stream: Stream, again?: Again): Promise<number[]>;
  /** A batch that died, and not any more: its positions count as not stored. */
  reopen(open: OpenBatch, stream: Stream): Promise<void>;
}

export interface StoresOptions extends StoreOptions {
  registry: StreamRegistry;
}

/** A store under its settings; with other ones it is closed and opened anew. */
interface Entry {
  settings: Uint8Array;
  opened: Promise<Store>;
  /** Batches that are in it: it is closed behind the last one. */
  users: number;
  onUnused(): void;
}

export function createStores(options: StoresOptions): Stores {
  const { registry, runtime } = options;
  const stores = new Map<string, Entry>();
  /** Stores that are being closed; one that is opened in their place waits, since they share their files. */
  const retiring = new Map<string, Promise<void>>();

  /** The store of the stream as it is set up now. */
  const open = (tenant: string, stream: Stream): Entry => {
    const key = `${tenant}/${stream.name}`;
    const settings = settingsOf(stream);
    const known = stores.get(key);
    if (known !== undefined && Buffer.compare(known.settings, settings) === 0) return known;
    if (known !== undefined) retire(key, known);
    const before = retiring.get(key) ?? Promise.resolve();
    const opened = before.then(() => openStore(options, tenant, stream));
    const entry: Entry = { settings, opened, users: 0, onUnused: () => undefined };
    opened.catch(() => stores.get(key) === entry && stores.delete(key));
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
          if (entry.users > 0) await new Promise<void>((resolve) => (entry.onUnused = resolve));
          // Whoever took storage away still sees all that was stored.
          await store.close(true);
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

  /** Whatever is done with a store keeps it open. */
  const using = async <T>(
    batch: OpenBatch,
    stream: Stream,
    use: (store: Store) => Promise<T>,
  ): Promise<T> => {
    const entry = open(batch.header.tenant, stream);
    entry.users += 1;
    try {
      return await use(await entry.opened);
    } catch (caught) {
      throw asStreamBlock(caught);
    } finally {
      entry.users -= 1;
      if (entry.users === 0) entry.onUnused();
    }
  };

  return {
    name: "stores",
    stop: async () => {
      await Promise.all(retiring.values());
      // All that is stored is published: this replica may not come back.
      await Promise.all([...stores.values()].map(async ({ opened }) => (await opened).close(true)));
    },
    store: (batch, stream, again = { isRedelivered: false }) =>
      using(batch, stream, (store) => store.store(batch, again)),
    reopen: (batch, stream) => using(batch, stream, (store) => store.reopen(batch)),
  };
}

function settingsOf(stream: Stream): Uint8Array {
  const { storage } = stream.outputs ?? {};
  return storage === undefined ? new Uint8Array() : Storage.encode(storage).finish();
}
