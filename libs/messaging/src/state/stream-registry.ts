import { CodedError } from "@millrace/errors";
import type { Header } from "@millrace/proto/batch";
import { Source } from "@millrace/proto/source";
import { Stream } from "@millrace/proto/stream";
import type { Component } from "@millrace/runtime";
import type { KV, KvEntry } from "@nats-io/kv";
import type { Broker } from "../broker/broker.js";
import { buckets } from "../broker/streams.js";

/**
 * The tenant of everything until tenants are switched on; it is in every subject and id from the first day.
 */
export const defaultTenant = "default";

export interface StreamChange {
  tenant: string;
  name: string;
  /** Undefined: deleted. */
  stream: Stream | undefined;
}

export interface SourceChange {
  tenant: string;
  id: string;
  /** Undefined: removed. */
  source: Source | undefined;
}

/** A live view of the streams and sources in CONFIG. */
export interface StreamRegistry extends Component {
  /**
   * The stream as it is known, asked of the bucket when it is not: a new stream may be used before the watch
   * tells.
   */
  find(tenant: string, name: string): Promise<Stream | undefined>;
  /** The stream that a batch belongs to; undefined also where another one has its name now. */
  findFor(header: Header): Promise<Stream | undefined>;
  list(tenant: string): Stream[];
  /** Deliveries that a stage may have in hand; 0 where the stream does not say, or is unknown. */
  parallelismOf(tenant: string, name: string): number;
  sources(tenant: string, stream: string): Source[];
  onStream(listener: (change: StreamChange) => void): void;
  onSource(listener: (change: SourceChange) => void): void;
}

/** Writing side, for gateway only: the permission table lets no other service write CONFIG. */
export interface StreamStore {
  /** Errors: `aborted` when it was written by another since `revision`. */
  put(tenant: string, stream: Stream, revision: number): Promise<void>;
  get(tenant: string, name: string): Promise<{ stream: Stream; revision: number } | undefined>;
  remove(tenant: string, name: string): Promise<void>;
  getSource(tenant: string, stream: string, id: string): Promise<Source | undefined>;
  putSource(tenant: string, source: Source): Promise<void>;
  removeSource(tenant: string, stream: string, id: string): Promise<void>;
}

/** Keys of CONFIG that a registry shows. */
const watched = ["stream.>", "source.>"];

export const streamKey = (tenant: string, name: string): string => `stream.${tenant}.${name}`;
const sourceKeyOf = (tenant: string, stream: string, id: string): string =>
  `source.${tenant}.${stream}.${id}`;

export async function createStreamRegistry(broker: Broker): Promise<StreamRegistry> {
  const bucket = await broker.kv.open(buckets.config, { allow_direct: true });
  const streams = new Map<string, Stream>();
  const sources = new Map<string, Source>();
  const streamListeners: ((change: StreamChange) => void)[] = [];
  const sourceListeners: ((change: SourceChange) => void)[] = [];

  const apply = (entry: KvEntry): void => {
    const [noun, tenant = "", name = "", id = ""] = entry.key.split(".");
    const live = entry.operation === "PUT";
    if (noun === "stream") {
      const stream = live ? Stream.decode(entry.value) : undefined;
      if (stream === undefined) streams.delete(entry.key);
      else streams.set(entry.key, stream);
      for (const listener of streamListeners) listener({ tenant, name, stream });
    } else if (noun === "source") {
      const source = live ? Source.decode(entry.value) : undefined;
      if (source === undefined) sources.delete(entry.key);
      else sources.set(entry.key, source);
      for (const listener of sourceListeners) listener({ tenant, id, source });
    }
  };

  let close = (): void => undefined;
  const find = async (tenant: string, name: string): Promise<Stream | undefined> => {
    const known = streams.get(streamKey(tenant, name));
    if (known !== undefined) return known;
    const found = await bucket.get(streamKey(tenant, name)).catch((cause: unknown) => {
      throw new CodedError("unavailable", "look up stream: no answer from the broker", { cause });
    });
    return found === null || found.operation !== "PUT" ? undefined : Stream.decode(found.value);
  };

  return {
    name: "stream-registry",
    start: async () => {
      // What is stored first, so that whoever asks after the start is answered from all of it; then what
      // changes.
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
    find,
    findFor: async (header) => {
      const stream = await find(header.tenant, header.stream);
      const isOther = header.streamCreatedMs !== 0 && header.streamCreatedMs !== stream?.createdMs;
      return isOther ? undefined : stream;
    },
    parallelismOf: (tenant, name) => streams.get(streamKey(tenant, name))?.parallelism ?? 0,
    list: (tenant) =>
      [...streams].filter(([key]) => key.startsWith(`stream.${tenant}.`)).map(([, stream]) => stream),
    sources: (tenant, stream) =>
      [...sources]
        .filter(([key]) => key.startsWith(`source.${tenant}.${stream}.`))
        .map(([, source]) => source),
    onStream: (listener) => void streamListeners.push(listener),
    onSource: (listener) => void sourceListeners.push(listener),
  };
}

export async function createStreamStore(broker: Broker): Promise<StreamStore> {
  const bucket: KV = await broker.kv.open(buckets.config, { allow_direct: true });
  return {
    put: async (tenant, stream, revision) => {
      const key = streamKey(tenant, stream.name);
      const data = Stream.encode(stream).finish();
      try {
        await bucket.put(key, data, { previousSeq: revision });
      } catch (cause) {
        if (/wrong last/i.test(String(cause))) {
          throw new CodedError("aborted", `write stream ${stream.name}: changed by another`, {
            remedy: "Read it and try again.",
            cause,
          });
        }
        throw new CodedError("unavailable", `write stream ${stream.name}: no answer from the broker`, {
          cause,
        });
      }
    },
    get: async (tenant, name) => {
      const found = await bucket.get(streamKey(tenant, name));
      if (found === null) return undefined;
      if (found.operation !== "PUT") return undefined;
      return { stream: Stream.decode(found.value), revision: found.revision };
    },
    remove: async (tenant, name) => bucket.delete(streamKey(tenant, name)),
    getSource: async (tenant, stream, id) => {
      const found = await bucket.get(sourceKeyOf(tenant, stream, id)).catch((cause: unknown) => {
        throw new CodedError("unavailable", "look up source: no answer from the broker", { cause });
      });
      return found?.operation === "PUT" ? Source.decode(found.value) : undefined;
    },
    putSource: async (tenant, source) => {
      await bucket.put(sourceKeyOf(tenant, source.stream, source.id), Source.encode(source).finish());
    },
    removeSource: async (tenant, stream, id) => bucket.delete(sourceKeyOf(tenant, stream, id)),
  };
}

/** Revision to name when a stream is written for the first time, whether or not it was deleted before. */
export async function revisionForNew(broker: Broker, tenant: string, name: string): Promise<number> {
  const bucket = await broker.kv.open(buckets.config, { allow_direct: true });
  const found = await bucket.get(streamKey(tenant, name));
  return found?.revision ?? 0;
}
