import { CodedError } from "@millrace/errors";
import { findingName, type Interval, type OpenBatch } from "@millrace/envelope";
import type { Ledger } from "@millrace/messaging";
import { StorageFormat, type Stream } from "@millrace/proto/stream";
import type { Runtime } from "@millrace/runtime";
import type { OutputConfig } from "../config.js";
import { openStorageSink, type StorageSink, type StorageSinkOptions } from "../storage/storage-sink.js";
import { asStreamBlock } from "./stream-block.js";

/** The files of one stream; batches that come together are committed together. */
export interface Store {
  /**
   * Resolves when the batch's rows are synced and in the ledger, with the rows that the format can't hold.
   */
  store(open: OpenBatch, again: Again): Promise<number[]>;
  reopen(open: OpenBatch): Promise<void>;
  /** Once no batch is on its way into it. `isLast`: what is stored is published too, whatever its age. */
  close(isLast: boolean): Promise<void>;
}

export interface Again {
  /** It may have been worked on before, by a replica that is gone. */
  isRedelivered: boolean;
}

export interface StoreOptions {
  config: OutputConfig["storage"];
  instance: string;
  ledger: Ledger;
  /** Throws `aborted` where a mapped body is not any more what was opened. */
  stillTrue(open: OpenBatch): void;
  runtime: Runtime;
}

interface OpenStore {
  tenant: string;
  stream: string;
  sink: StorageSink;
  waiting: { resolve(): void; reject(error: unknown): void }[];
  /** Committed here, and settled first by another replica: taken out again before a part is published. */
  elsewhere: { source: string; intervals: readonly Interval[] }[];
  isClosing: boolean;
  /** Ends the loop's wait. */
  wake(): void;
  /** Parts are published beside the commits: one is a dozen syncs, for which no batch has to wait. */
  rolling: Promise<void> | undefined;
}

/** A store that nothing waits for is looked at this often, for files that are due by age. */
const idleIntervalMs = 500;

const formats: Readonly<Partial<Record<StorageFormat, StorageSinkOptions["format"]>>> = {
  [StorageFormat.STORAGE_FORMAT_LINES]: "lines",
  [StorageFormat.STORAGE_FORMAT_PARQUET]: "parquet",
};

/** Opens the store as the stream is set up now, and tells the ledger what a crash left untold. */
export async function openStore(options: StoreOptions, tenant: string, stream: Stream): Promise<Store> {
  const store: OpenStore = {
    tenant,
    stream: stream.name,
    sink: await openSink(options, tenant, stream),
    waiting: [],
    elsewhere: [],
    isClosing: false,
    wake: () => undefined,
    rolling: undefined,
  };
  await catchUp(options.ledger, store);
  const running = run(options, store);
  return {
    store: (batch, again) => storeIn(options, store, batch, again),
    reopen: ({ header }) =>
      store.sink.reopen(header.source, { from: header.positionFrom, to: header.positionTo }),
    close: async (isLast) => {
      store.isClosing = true;
      store.wake();
      const isTold = await running;
      // What the ledger may not know is published by recovery, which tells it first.
      if (isLast && isTold) await store.sink.rollAll();
      await store.sink.close();
    },
  };
}

function openSink(
  { config, instance, ledger, runtime }: StoreOptions,
  tenant: string,
  stream: Stream,
): Promise<StorageSink> {
  const settings = stream.outputs?.storage;
  return openStorageSink({
    root: config.root,
    tenant,
    stream: stream.name,
    writer: `output-${instance}`,
    format: formats[settings?.format ?? StorageFormat.STORAGE_FORMAT_RECORDS] ?? "records",
    loadSettled: async (source) =>
      (await ledger.account({ tenant, stream: stream.name, source })).settled.intervals(),
    // Whoever has a redelivered batch looks into the journals of others first, so what is here is ours.
    settledElsewhere: () => [],
    findingName,
    now: runtime.clock.now,
    ...(settings?.rollBytes ? { rollBytes: settings.rollBytes } : {}),
    retainBytes: settings?.retainBytes ?? 0,
    ...(settings?.rollAge === undefined
      ? {}
      : { rollAgeMs: settings.rollAge.seconds * 1000 + settings.rollAge.nanos / 1e6 }),
  });
}

/** What a crash left between a file's commit and the ledger is told to the ledger now. */
async function catchUp(ledger: Ledger, { tenant, stream, sink }: OpenStore): Promise<void> {
  for (const entry of sink.recovery.entries) {
    const key = { tenant, stream, source: entry.source };
    const { settled } = await ledger.account(key);
    const known = entry.intervals.every((interval) => settled.missing(interval).length === 0);
    if (!known) ledger.settle(key, { intervals: entry.intervals, done: entry.messages });
  }
  await ledger.flush();
}

async function storeIn(
  { config, ledger, stillTrue }: StoreOptions,
  store: OpenStore,
  batch: OpenBatch,
  { isRedelivered }: Again,
): Promise<number[]> {
  if (isRedelivered) await store.sink.heedOthers(batch.header.source);
  const staged = await store.sink.stage(batch, () => stillTrue(batch));
  if (staged.repeated.length > 0) {
    const dropped = { repeated_key: staged.repeated.length };
    ledger.settle(batch.header, { intervals: staged.repeatedIntervals, dropped });
  }
  if (staged.stored > 0 || staged.settled > 0) {
    await new Promise<void>((resolve, reject) => {
      store.waiting.push({ resolve, reject });
      if (store.waiting.length === 1 || store.sink.pendingBytes() >= config.commitBytes) store.wake();
    });
  }
  return staged.rejected;
}

/** Commits until the store is closed. While there is much to store, one commit follows the other. */
async function run(options: StoreOptions, store: OpenStore): Promise<boolean> {
  const { commitBytes, commitIntervalMs } = options.config;
  const sleep = async (ms: number): Promise<void> => {
    const woken = new Promise<void>((resolve) => (store.wake = resolve));
    await Promise.race([options.runtime.clock.sleep(ms), woken]);
  };
  while (!store.isClosing) {
    if (store.waiting.length === 0) await sleep(idleIntervalMs);
    const hasFew = store.waiting.length > 0 && store.sink.pendingBytes() < commitBytes;
    if (hasFew && !store.isClosing) await sleep(commitIntervalMs);
    const isWritten = await commit(options, store);
    if (isWritten) store.rolling ??= rollIfDue(options, store).finally(() => (store.rolling = undefined));
  }
  await store.rolling;
  return await commit(options, store);
}

/** False where the ledger may not know yet what the files hold: nothing of it is to be published. */
async function commit({ ledger, runtime }: StoreOptions, store: OpenStore): Promise<boolean> {
  const { tenant, stream, sink } = store;
  const waiting = store.waiting.splice(0);
  try {
    for (const entry of await sink.commit()) {
      const { source, intervals, messages } = entry;
      const onElsewhere = (first: readonly Interval[]): void =>
        void store.elsewhere.push({ source, intervals: first });
      ledger.settle({ tenant, stream, source }, { intervals, done: messages, onElsewhere });
    }
    await ledger.flush();
    for (let first = store.elsewhere[0]; first !== undefined; first = store.elsewhere[0]) {
      await sink.discard(first.source, first.intervals);
      store.elsewhere.shift();
    }
    for (const waiter of waiting) waiter.resolve();
    return true;
  } catch (caught) {
    const error = CodedError.from(caught, "commit storage");
    for (const waiter of waiting) waiter.reject(asStreamBlock(error));
    tell(runtime, "storage not committed, trying again", error);
    return false;
  }
}

async function rollIfDue({ runtime }: StoreOptions, { sink }: OpenStore): Promise<void> {
  try {
    await sink.rollIfDue();
  } catch (caught) {
    tell(runtime, "stored part not published, trying again", CodedError.from(caught, "publish part"));
  }
}

function tell(runtime: Runtime, what: string, error: CodedError): void {
  if (error.code === "internal") runtime.fail(error);
  else runtime.log.warn(what, { code: error.code, error: error.message });
}
