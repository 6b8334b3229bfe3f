import { deriveId } from "@millrace/envelope";
import { present } from "@millrace/errors";
import { ask, type Broker, buckets, cleanEndpoint, type Publisher, subjects } from "@millrace/messaging";
import { Event } from "@millrace/proto/event";
import { SourceReport, SourceState } from "@millrace/proto/source";
import type { Component, Runtime } from "@millrace/runtime";
import type { SourceReaderStatus } from "./source-reader.js";
import type { SourceRunner } from "./source-runner.js";

const intervalMs = 1_000;
const cleanTimeoutMs = 1_000;
/** Stands for an error until privacy has seen its text. */
const notCleanYet = "an error; what it is follows as soon as privacy answers";

/**
 * Tells in REPORTS what each source does, once a second and only what changed; a new failure is an event as
 * well.
 */
export async function createSourceReports(
  broker: Broker,
  publisher: Publisher,
  runner: SourceRunner,
  runtime: Runtime,
): Promise<Component> {
  const bucket = await broker.kv.open(buckets.reports, { allow_direct: true });
  const told = new Map<string, string>();
  const cleaned = new Map<string, { text: string; clean: string }>();
  const stopping = new AbortController();

  /** An error names paths, and a file may be called after a person: it passes privacy like a message. */
  const cleanError = async (tenant: string, id: string, text: string): Promise<string> => {
    if (text === "") return "";
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

  const report = async (entry: ReturnType<SourceRunner["statuses"]>[number]): Promise<void> => {
    const { tenant, source, status, error } = entry;
    const lastError = await cleanError(tenant, source.id, error ?? status?.lastError ?? "");
    const value: SourceReport = {
      id: source.id,
      stream: source.stream,
      state: stateOf(status?.state, error),
      files: status?.files ?? 0,
      lagBytes: status?.lagBytes ?? 0,
      lastError,
      timeMs: 0,
      holder: status === undefined ? "" : runtime.instance,
      lagMessages: status?.lagMessages,
      position: status?.position ?? "",
      lagSeconds: status?.lagSeconds,
    };
    const content = JSON.stringify(value);
    if (told.get(source.id) === content) return;
    value.timeMs = Math.round(runtime.clock.now());
    await bucket.put(`${tenant}.${source.stream}.${source.id}`, SourceReport.encode(value).finish());
    const isNew = !(told.get(source.id) ?? "").includes(JSON.stringify(lastError));
    // Whoever waits has not failed.
    const hasFailed = lastError !== "" && value.state !== SourceState.SOURCE_STATE_WAITING;
    if (hasFailed && lastError !== notCleanYet && isNew) await tell(tenant, value);
    told.set(source.id, content);
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

  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      for (const entry of runner.statuses()) {
        await report(entry).catch((caught: unknown) =>
          runtime.log.warn("source report not written, trying again", { error: String(caught) }),
        );
      }
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

/** A source without status is paused. */
function stateOf(state: SourceReaderStatus["state"] | undefined, error: string | undefined): SourceState {
  if (error !== undefined || state === "failed") return SourceState.SOURCE_STATE_FAILED;
  if (state === "waiting") return SourceState.SOURCE_STATE_WAITING;
  return state === undefined ? SourceState.SOURCE_STATE_PAUSED : SourceState.SOURCE_STATE_RUNNING;
}
