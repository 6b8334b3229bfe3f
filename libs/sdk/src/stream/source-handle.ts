import { type Source, SourceReport, SourceServiceService, SourceState } from "@millrace/proto/source";
import type { Channel } from "../rpc/channel.js";

export interface SourceStatus {
  /**
   * `starting`: ingestion has not reported yet. `waiting`: what it depends on is full or away, `lastError`
   * says what, and it goes on by itself.
   */
  state: "starting" | "running" | "waiting" | "paused" | "failed";
  /** How far it is, in words of its kind. */
  position: string;
  files: number;
  /** Bytes of the source that are not read yet. */
  lagBytes: number;
  /** Messages that are not read yet; undefined where the source can't tell. */
  lagMessages: number | undefined;
  /** How long the oldest of them has waited; undefined where the source can't tell. */
  lagSeconds: number | undefined;
  lastError: string | undefined;
  /** The instances of ingestion that read it; undefined while none does. */
  holder: string | undefined;
  /** When ingestion said so; undefined before the first report. */
  time: Date | undefined;
}

export interface SourceHandle {
  /** Follows from the stream and the settings: the same source again has the same id. */
  readonly id: string;
  status(): Promise<SourceStatus>;
  /** Stops reading until `resume`; what was accepted goes on. Holds for everybody who reads the stream. */
  pause(): Promise<void>;
  /** Goes on where it stopped. */
  resume(): Promise<void>;
  remove(): Promise<void>;
}

/** Adds a source of any kind; one with the same settings is the same source. */
export async function addSource(
  channel: Channel,
  stream: string,
  kind: NonNullable<Source["kind"]>,
): Promise<SourceHandle> {
  const attempted = `add a ${kind.$case} source to ${stream}`;
  const request = { source: { id: "", stream, kind, paused: false } };
  const { source } = await channel.unary(SourceServiceService.addSource, request, { attempted });
  return sourceHandle(channel, stream, source?.id ?? "");
}

function sourceHandle(channel: Channel, stream: string, id: string): SourceHandle {
  const request = { stream, id };
  const call = (verb: string) => ({ attempted: `${verb} source ${id}` });
  return {
    id,
    async status() {
      const { report } = await channel.unary(
        SourceServiceService.getSource,
        request,
        call("get the status of"),
      );
      return toStatus(report);
    },
    async pause() {
      await channel.unary(SourceServiceService.pauseSource, request, call("pause"));
    },
    async resume() {
      await channel.unary(SourceServiceService.resumeSource, request, call("resume"));
    },
    async remove() {
      await channel.unary(SourceServiceService.removeSource, request, call("remove"));
    },
  };
}

function toStatus(report: SourceReport | undefined): SourceStatus {
  const { state, files, lagBytes, lagMessages, lagSeconds, position, lastError, holder, timeMs } =
    report ?? SourceReport.create();
  return {
    state: toState(state),
    position,
    files,
    lagBytes,
    lagMessages,
    lagSeconds,
    lastError: lastError === "" ? undefined : lastError,
    holder: holder === "" ? undefined : holder,
    time: timeMs === 0 ? undefined : new Date(timeMs),
  };
}

function toState(state: SourceState): SourceStatus["state"] {
  switch (state) {
    case SourceState.SOURCE_STATE_RUNNING:
      return "running";
    case SourceState.SOURCE_STATE_PAUSED:
      return "paused";
    case SourceState.SOURCE_STATE_WAITING:
      return "waiting";
    case SourceState.SOURCE_STATE_FAILED:
      return "failed";
    default:
      return "starting";
  }
}
