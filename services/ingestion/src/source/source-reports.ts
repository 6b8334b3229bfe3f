import { deriveId } from "@millrace/envelope";
import { present } from "@millrace/errors";
import {
  ask,
  type Broker,
  buckets,
  cleanEndpoint,
  type Publisher,
  reportEveryMs,
  reportKey,
  subjects,
} from "@millrace/messaging";
import { Event } from "@millrace/proto/event";
import { SourceReport, SourceState } from "@millrace/proto/source";
import type { Component, Runtime } from "@millrace/runtime";
import type { SourceReaderStatus } from "./source-reader.js";
import type { SourceEntry, SourceRunner } from "./source-runner.js";

const intervalMs = 1_000;
const cleanTimeoutMs = 1_000;
/** Stands for an error until privacy has seen its text. */
const notCleanYet = "an error; what it is follows as soon as privacy answers";

interface Told {
  content: string;
  atMs: number;
  /** The failure under way is an event already. */
  failed: boolean;
  completeToMs: number | undefined;
}

export interface ReportParts {
  broker: Broker;
  publisher: Publisher;
  runner: Pick<SourceRunner, "statuses">;
  runtime: Runtime;
}

/**
 * Tells in REPORTS what each source of this replica does: once a second what changed, and every 10 s all. A
 * failure is an event as well, once from its begin to its end, whoever reads the source in between.
 */
export async function createSourceReports({
  broker,
  publisher,
  runner,
  runtime,
}: ReportParts): Promise<Component> {
  const bucket = await broker.kv.open(buckets.reports, { allow_direct: true });
  const told = new Map<string, Told>();
  const cleanError = createErrorCleaner(broker);
  const stopping = new AbortController();

  const report = async (entry: SourceEntry): Promise<void> => {
    const { tenant, source, leased } = entry;
    const key = reportKey({ tenant, ...source }, leased ? undefined : runtime.instance);
    const before = told.get(key) ?? (await earlier(bucket, key));
    const value = reportOf(entry, runtime.instance);
    value.lastError = await cleanError(tenant, source.id, value.lastError);
    const content = JSON.stringify(value);
    const nowMs = runtime.clock.monotonic();
    if (before.content === content && nowMs - before.atMs < reportEveryMs) return;
    value.timeMs = Math.round(runtime.clock.now());
    // A reader that has not opened its source yet must not forget what the one before it knew.
    value.completeToMs = entry.status?.completeToMs ?? before.completeToMs;
    await bucket.put(key, SourceReport.encode(value).finish());
    // Whoever waits has not failed.
    const hasError = value.lastError !== "" && value.state !== SourceState.SOURCE_STATE_WAITING;
    const failed = hasError && (before.failed || value.lastError !== notCleanYet);
    if (failed && !before.failed) await tell(tenant, value);
    told.set(key, { content, atMs: nowMs, failed, completeToMs: value.completeToMs });
  };

  /** The event names the source, not what is wrong with it: whoever may know reads the source's status. */
  const tell = async (tenant: string, value: SourceReport): Promise<void> => {
    runtime.log.warn("source has an error", { source: value.id, error: value.lastError });
    const event: Event = {
      id: deriveId("source-failed", value.id, String(value.timeMs)),
      type: "source_failed",
      stream: value.stream,
      timeMs: value.timeMs,
      payload: { $case: "sourceFailed", value: { source: value.id, reason: "see the source's status" } },
    };
    await publisher.publish({
      subject: subjects.event(tenant, value.stream, "source_failed"),
      data: Event.encode(event).finish(),
      id: event.id,
    });
  };

  const reportAll = async (): Promise<void> => {
    const entries = runner.statuses();
    for (const entry of entries) {
      await report(entry).catch((caught: unknown) =>
        runtime.log.warn("source report not written, trying again", { error: String(caught) }),
      );
    }
    // What another replica reads now, it reports.
    const keys = new Set(
      entries.map(({ tenant, source, leased }) =>
        reportKey({ tenant, ...source }, leased ? undefined : runtime.instance),
      ),
    );
    for (const key of told.keys()) if (!keys.has(key)) told.delete(key);
  };
  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await reportAll();
      await runtime.clock.sleep(intervalMs, stopping.signal);
    }
  };
  let running: Promise<void> | undefined;
  return {
    name: "source-reports",
    start: async () => {
      running = loop();
    },
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

interface Reports {
  get(key: string): Promise<{ operation: string; value: Uint8Array } | null>;
}

/** What was said of the source before this replica read it: a failure that goes on is no new one. */
async function earlier(bucket: Reports, key: string): Promise<Told> {
  const report = await storedReport(bucket, key);
  const failed =
    report !== undefined &&
    !["", notCleanYet].includes(report.lastError) &&
    report.state !== SourceState.SOURCE_STATE_WAITING;
  return { content: "", atMs: 0, failed, completeToMs: report?.completeToMs };
}

async function storedReport(bucket: Reports, key: string): Promise<SourceReport | undefined> {
  const found = await bucket.get(key);
  return found?.operation === "PUT" ? SourceReport.decode(found.value) : undefined;
}

/** Until when all that came from a source is durable, as its last reader said; undefined: none did. */
export async function earlierCompleteTo(broker: Broker) {
  const bucket = await broker.kv.open(buckets.reports, { allow_direct: true });
  return async ({ tenant, source }: Pick<SourceEntry, "tenant" | "source">): Promise<number | undefined> =>
    (await storedReport(bucket, reportKey({ tenant, ...source }, undefined)))?.completeToMs;
}

/** An error names paths, and a file may be called after a person: it passes privacy like a message. */
function createErrorCleaner(broker: Broker) {
  const cleaned = new Map<string, { text: string; clean: string }>();
  return async (tenant: string, id: string, text: string): Promise<string> => {
    if (text === "") {
      cleaned.delete(id);
      return "";
    }
    const known = cleaned.get(id);
    if (known?.text === text) return known.clean;
    const request = { tenant, stream: "", texts: [text], names: [], bodies: [] };
    try {
      const { texts } = await ask(broker, cleanEndpoint, request, cleanTimeoutMs);
      const clean = present(texts[0], "privacy's answer to a text");
      cleaned.set(id, { text, clean });
      return clean;
    } catch {
      return notCleanYet;
    }
  };
}

function reportOf({ source, status, error }: SourceEntry, instance: string): SourceReport {
  return {
    id: source.id,
    stream: source.stream,
    state: stateOf(status?.state, error),
    files: status?.files ?? 0,
    lagBytes: status?.lagBytes ?? 0,
    lastError: error ?? status?.lastError ?? "",
    timeMs: 0,
    holder: instance,
    lagMessages: status?.lagMessages,
    position: status?.position ?? "",
    lagSeconds: status?.lagSeconds,
    completeToMs: undefined,
  };
}

function stateOf(state: SourceReaderStatus["state"] | undefined, error: string | undefined): SourceState {
  if (error !== undefined || state === "failed") return SourceState.SOURCE_STATE_FAILED;
  if (state === "waiting") return SourceState.SOURCE_STATE_WAITING;
  return SourceState.SOURCE_STATE_RUNNING;
}
