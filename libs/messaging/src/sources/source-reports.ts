import { SourceReport, SourceState } from "@millrace/proto/source";
import type { Broker } from "../broker/broker.js";
import { buckets } from "../broker/streams.js";
import { storedKeys } from "../state/tail.js";

/** ingestion says anew what each source does after that time at the latest, changed or not. */
export const reportEveryMs = 10_000;
/** Older than that, a report tells of the past. */
export const reportStaleMs = 30_000;

/**
 * Key of a report. One replica reads a leased source and reports under its id; of the others each replica
 * reports its share.
 */
export const reportKey = (
  of: { tenant: string; stream: string; id: string },
  instance: string | undefined,
): string => `${of.tenant}.${of.stream}.${of.id}${instance === undefined ? "" : `.${instance}`}`;

/** What the sources of a stream report of themselves, one report a source. */
export async function readReports(
  broker: Broker,
  { tenant, stream }: { tenant: string; stream: string },
  nowMs: number,
): Promise<SourceReport[]> {
  const bucket = await broker.kv.open(buckets.reports, { allow_direct: true });
  const keys = await storedKeys(broker, buckets.reports, `${tenant}.${stream}.>`);
  const found = await Promise.all(keys.map((key) => bucket.get(key)));
  const reports = found.flatMap((entry) =>
    entry?.operation === "PUT" ? [SourceReport.decode(entry.value)] : [],
  );
  const bySource = new Map<string, SourceReport[]>();
  for (const report of reports) bySource.set(report.id, [...(bySource.get(report.id) ?? []), report]);
  return [...bySource.values()].map((parts) => mergeReports(parts, nowMs));
}

/** What all sources report, by `<tenant>.<stream>.<id>`: one report each, as of `readReports`. */
export async function readAllReports(broker: Broker, nowMs: number): Promise<Map<string, SourceReport>> {
  const bucket = await broker.kv.open(buckets.reports, { allow_direct: true });
  const bySource = new Map<string, SourceReport[]>();
  for await (const { key, operation, value } of await bucket.history()) {
    if (operation !== "PUT") continue;
    const source = key.split(".").slice(0, 3).join(".");
    bySource.set(source, [...(bySource.get(source) ?? []), SourceReport.decode(value)]);
  }
  return new Map([...bySource].map(([source, parts]) => [source, mergeReports(parts, nowMs)]));
}

export const isStale = ({ timeMs }: SourceReport, nowMs: number): boolean => nowMs - timeMs > reportStaleMs;

const worst = [
  SourceState.SOURCE_STATE_FAILED,
  SourceState.SOURCE_STATE_WAITING,
  SourceState.SOURCE_STATE_RUNNING,
];

/** The shares of the replicas as one report; those of replicas that are gone count only where all are. */
export function mergeReports(parts: readonly SourceReport[], nowMs: number): SourceReport {
  const fresh = parts.filter((part) => !isStale(part, nowMs));
  if (fresh.length === 0) {
    const last = parts.toSorted((one, other) => other.timeMs - one.timeMs)[0] ?? SourceReport.create();
    if (last.state === SourceState.SOURCE_STATE_PAUSED) return last;
    // A lag of the past is none.
    return {
      ...last,
      state: SourceState.SOURCE_STATE_WAITING,
      holder: "",
      lagMessages: undefined,
      lagSeconds: undefined,
      lastError: last.lastError || "no replica of ingestion has reported of it for a while",
    };
  }
  const [first = SourceReport.create()] = fresh;
  if (fresh.length === 1) return first;
  const states = new Set(fresh.map(({ state }) => state));
  const sum = (of: (part: SourceReport) => number): number =>
    fresh.reduce((total, part) => total + of(part), 0);
  const known = <T>(of: (part: SourceReport) => T | undefined): T[] | undefined => {
    const values = fresh.map(of).filter((value) => value !== undefined);
    return values.length === fresh.length ? values : undefined;
  };
  const joined = (of: (part: SourceReport) => string): string =>
    [...new Set(fresh.map(of).filter((text) => text !== ""))].sort().join(", ");
  const seconds = known(({ lagSeconds }) => lagSeconds);
  return {
    ...first,
    state: worst.find((state) => states.has(state)) ?? first.state,
    files: sum(({ files }) => files),
    lagBytes: sum(({ lagBytes }) => lagBytes),
    lastError: fresh.find(({ lastError }) => lastError !== "")?.lastError ?? "",
    timeMs: Math.min(...fresh.map(({ timeMs }) => timeMs)),
    holder: joined(({ holder }) => holder),
    position: joined(({ position }) => position),
    lagMessages: known(({ lagMessages }) => lagMessages)?.reduce((total, one) => total + one, 0),
    lagSeconds: seconds === undefined ? undefined : Math.max(...seconds),
  };
}
