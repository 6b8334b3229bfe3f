import { type Broker, buckets, defaultTenant, readLedger, tailStream } from "@millrace/messaging";
import { CodedError } from "@millrace/errors";
import { Entry } from "@millrace/proto/ledger";
import type { StoredSample } from "./rates.js";

/** Without a further message stored for so long, the bench gives up. */
const stalledMs = 60_000;

export interface StoredOptions {
  stream: string;
  /** Messages that must be stored. */
  lines: number;
  signal: AbortSignal;
  onProgress(sample: StoredSample): void;
}

/**
 * Resolves when the LEDGER says that the last message is stored, with what it said on the way; the last
 * sample is the end. The sink says so up to 100 ms after its files were synced, so this is never too early.
 */
export async function untilStored(broker: Broker, options: StoredOptions): Promise<StoredSample[]> {
  const { stream, lines, signal } = options;
  const done = new Map<string, number>();
  const samples: StoredSample[] = [];
  const stalled = new AbortController();
  let timer = setTimeout(() => stalled.abort(), stalledMs);
  const tail = tailStream(broker, {
    jetStream: `KV_${buckets.ledger}`,
    filter: `$KV.${buckets.ledger}.store.${defaultTenant}.${stream}.>`,
    from: 1,
    signal: AbortSignal.any([signal, stalled.signal]),
  });
  try {
    for await (const { subject, data } of tail) {
      const now = performance.now();
      clearTimeout(timer);
      timer = setTimeout(() => stalled.abort(), stalledMs);
      done.set(subject, Entry.decode(data).done);
      const stored = [...done.values()].reduce((sum, count) => sum + count, 0);
      const sample = { ms: now, stored };
      samples.push(sample);
      options.onProgress(sample);
      if (stored >= lines) return samples;
    }
  } finally {
    clearTimeout(timer);
  }
  signal.throwIfAborted();
  const counts = await stageCounts(broker, stream);
  throw new CodedError(
    "deadline_exceeded",
    `bench: ${lines} lines, and nothing moves: ${JSON.stringify(counts)}`,
  );
}

/** Messages by stage and by what became of them, as the LEDGER has them. */
export async function stageCounts(broker: Broker, stream: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const add = (name: string, count: number): void => {
    if (count > 0) counts[name] = (counts[name] ?? 0) + count;
  };
  for (const { stage, entry } of await readLedger(broker, { tenant: defaultTenant, stream })) {
    add(stage, entry.done);
    add(`${stage} dead`, entry.dead);
    for (const [reason, dropped] of Object.entries(entry.dropped))
      add(`${stage} dropped: ${reason}`, dropped);
  }
  return counts;
}
