import { backoffMs, type Component, type Runtime } from "@millrace/runtime";
import { CodedError } from "@millrace/errors";
import { leaseKeyOf, type StreamRegistry } from "@millrace/messaging";
import type { Source } from "@millrace/proto/source";
import { type Stream, StreamState } from "@millrace/proto/stream";
import type { Lease, SourceLeases } from "../lease/source-leases.js";
import type { OpenContext } from "./source-context.js";
import type { SourceKinds, SourceReader, SourceReaderStatus } from "./source-reader.js";

/** A source that this replica reads, or can't open. */
export interface SourceEntry {
  tenant: string;
  source: Source;
  /** Whether it reads alone. */
  leased: boolean;
  status: SourceReaderStatus | undefined;
  error: string | undefined;
}

export interface SourceRunner extends Component {
  statuses(): SourceEntry[];
}

export interface SourceRunnerOptions {
  registry: StreamRegistry;
  runtime: Runtime;
  kinds: SourceKinds;
  leases: Pick<SourceLeases, "want" | "unwant">;
  openContext: OpenContext;
}

interface Entry {
  tenant: string;
  source: Source;
  reader: SourceReader | undefined;
  error: string | undefined;
  lease: Lease | undefined;
  /** Stands for the present wish for a lease; undefined: none. */
  wish: object | undefined;
  /** Times that it could not be opened, one after the other. */
  failures: number;
  /** Ends the wait for another try. */
  retry: AbortController;
  changing: Promise<void>;
}

/** A source that can't be opened may heal by itself, as one whose secret is not mounted yet. */
const retry = { firstMs: 1_000, maxMs: 60_000 };

/**
 * Starts and stops readers as streams, sources and leases come, change, pause and go. One change of a source
 * after the other: it must be closed before it is opened anew; a source doesn't wait for another.
 */
export function createSourceRunner({
  registry,
  runtime,
  kinds,
  leases,
  openContext,
}: SourceRunnerOptions): SourceRunner {
  const entries = new Map<string, Entry>();
  const kindOf = ({ kind }: Source) => (kind === undefined ? undefined : kinds[kind.$case]);
  const keyOf = ({ tenant, source }: Entry): string =>
    leaseKeyOf({ tenant, stream: source.stream, id: source.id });

  const change = (entry: Entry, work: () => Promise<void>): Promise<void> => {
    entry.changing = entry.changing.then(work).catch((caught: unknown) => {
      runtime.log.error("source not changed", { source: entry.source.id, error: String(caught) });
    });
    return entry.changing;
  };

  const close = async (entry: Entry): Promise<void> => {
    const { reader } = entry;
    entry.retry.abort();
    entry.error = undefined;
    await reader?.close();
    entry.reader = undefined;
  };

  const letGo = (entry: Entry): void => {
    entry.wish = undefined;
    entry.lease = undefined;
    // Not awaited: it may wait for a change that waits for this one.
    void leases.unwant(keyOf(entry));
  };

  const wish = (entry: Entry): void => {
    const own = {};
    entry.wish = own;
    leases.want(keyOf(entry), {
      held: (lease) => {
        if (entry.wish !== own) return;
        entry.lease = lease;
        void change(entry, () => begin(entry));
      },
      lost: (lease) =>
        change(entry, async () => {
          if (entry.lease !== lease) return;
          await close(entry);
          entry.lease = undefined;
        }),
    });
  };

  const open = (entry: Entry, stream: Stream): void => {
    const { tenant, source, lease } = entry;
    try {
      const reader = kindOf(source)?.open(openContext({ tenant, source, stream, lease }));
      reader?.start();
      entry.reader = reader;
      entry.failures = 0;
    } catch (caught) {
      entry.error = CodedError.from(caught, "start the source").toString();
      entry.retry = new AbortController();
      const { signal } = entry.retry;
      const pause = backoffMs(entry.failures++, runtime.random, retry);
      void runtime.clock.sleep(pause, signal).then(() => {
        if (!signal.aborted) void change(entry, () => begin(entry));
      });
    }
  };

  /** As the entry says now, whatever was before. */
  const begin = async (entry: Entry): Promise<void> => {
    await close(entry);
    const { tenant, source } = entry;
    const stream = await registry.find(tenant, source.stream);
    const isGone = entries.get(source.id) !== entry;
    const isPaused = source.paused || stream?.state === StreamState.STREAM_STATE_PAUSED;
    // Without a kind it is of one that a later release brought.
    const kind = isGone || isPaused ? undefined : kindOf(source);
    if (stream === undefined || kind === undefined) letGo(entry);
    else if (!kind.leased) open(entry, stream);
    else if (entry.wish === undefined) wish(entry);
    else if (entry.lease !== undefined) open(entry, stream);
  };

  const add = (tenant: string, source: Source): Entry => {
    const entry: Entry = {
      tenant,
      source,
      reader: undefined,
      error: undefined,
      lease: undefined,
      wish: undefined,
      failures: 0,
      retry: new AbortController(),
      changing: Promise.resolve(),
    };
    entries.set(source.id, entry);
    return entry;
  };

  const remove = (entry: Entry): void => {
    entries.delete(entry.source.id);
    void change(entry, async () => {
      await close(entry);
      letGo(entry);
    });
  };

  registry.onSource(({ tenant, id, source }) => {
    const known = entries.get(id);
    if (source === undefined) {
      if (known !== undefined) remove(known);
      return;
    }
    const entry = known ?? add(tenant, source);
    entry.source = source;
    void change(entry, () => begin(entry));
  });
  registry.onStream(({ tenant, name, stream }) => {
    for (const entry of entries.values()) {
      if (entry.tenant !== tenant || entry.source.stream !== name) continue;
      if (stream === undefined) remove(entry);
      else void change(entry, () => begin(entry));
    }
  });

  return {
    name: "source-runner",
    stop: async () => {
      // What is still to change finds no entry, and so opens nothing.
      const all = [...entries.values()];
      entries.clear();
      await Promise.all(all.map((entry) => change(entry, () => close(entry))));
    },
    statuses: () =>
      [...entries.values()]
        .filter(({ reader, error }) => reader !== undefined || error !== undefined)
        .map(({ tenant, source, reader, error }) => ({
          tenant,
          source,
          leased: kindOf(source)?.leased ?? true,
          status: reader?.status(),
          error,
        })),
  };
}
