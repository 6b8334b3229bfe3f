import { CodedError } from "@millrace/errors";
import { encodeBatch, idText, type OpenBatch, outputId, splitBatch } from "@millrace/envelope";
import type { Component, Runtime } from "@millrace/runtime";
import type { Broker } from "../../broker/broker.js";
import { parkedStream } from "../../broker/streams.js";
import { subjects } from "../../broker/subjects.js";
import type { Publisher } from "../publisher.js";
import type { Lease } from "./hand/lease.js";

/*
 * PARKED: what a stage sets aside of a stream that alone is blocked, `parked.<stage>.<tenant>.<stream>`.
 *
 *   blocked for 2 s ─► stored in PARKED, bytes and all ─► original acknowledged
 *                          later batches of the stream at this stage follow, so they stay in order
 *   not blocked any more ─► drained in order, one at a time ─► none stored ─► the stream goes straight again
 *
 * A parked batch carries its body inline, in pieces that fit a message: it pins no segment, and drains
 * wherever its log is by then. What is parked is asked of the broker, so a restart or another replica knows.
 */
export interface Parking extends Component {
  stage: string;
  /** Whether batches of this stream have to go behind parked ones. */
  holds(of: StreamOf): boolean;
  /**
   * Resolves when all of the batch is stored. Errors: as publishing, with scope `stream` where PARKED is full
   * (`isParkedFull`); `canceled` when the lease is lost.
   */
  park(open: OpenBatch, lease: Lease): Promise<void>;
  /** Streams that have parked batches; asked anew by `refresh`, and each second. */
  parked(): readonly StreamOf[];
  /** Asks the broker. Resolves with the streams that have none any more. */
  refresh(): Promise<void>;
  /** Tells when a stream begins to be parked. */
  onParked(listener: () => void): void;
}

export interface StreamOf {
  tenant: string;
  stream: string;
}

export interface ParkingOptions {
  broker: Broker;
  runtime: Runtime;
  publisher: Publisher;
  stage: string;
}

/** What waits for room in PARKED waits for this. */
export const parkedFull = "bus:parked";

/** No room in PARKED: the batch can't be set aside, which is its stream's alone to wait for. */
export const isParkedFull = ({ scope, subject }: CodedError): boolean =>
  scope === "stream" && subject === parkedFull;

function parkError(caught: unknown): CodedError {
  const error = CodedError.from(caught, "park batch");
  if (error.code !== "resource_exhausted") return error;
  return new CodedError("resource_exhausted", "park batch: PARKED is full", {
    scope: "stream",
    subject: parkedFull,
    retryAfterMs: 1_000,
    remedy: "Mend what blocks the streams that have batches there.",
    cause: error,
  });
}

/** A piece that blocks the bus for little; a single message may be larger. */
const pieceBytesMax = 512 * 1024;
const lookMs = 1_000;

export function createParking({ broker, runtime, publisher, stage }: ParkingOptions): Parking {
  const { clock, log, metrics } = runtime;
  const count = metrics.counter(
    "millrace_batches_parked_total",
    "Batches set aside: their stream is blocked.",
    ["stage"],
  );
  const streams = new Map<string, StreamOf>();
  /** Batches on their way into PARKED, by stream. */
  const onTheWay = new Map<string, number>();
  /** Begun and ended ones: an answer of the broker that was asked for before the last change says nothing. */
  let changes = 0;
  const closing = new AbortController();
  let tell = (): void => undefined;
  const keyOf = ({ tenant, stream }: StreamOf): string => `${tenant}.${stream}`;

  const refresh = async (): Promise<void> => {
    const before = changes;
    const { state } = await broker.manager.streams
      .info(parkedStream, { subjects_filter: subjects.parked(stage, "*", "*") })
      .catch((cause: unknown) => {
        throw new CodedError("unavailable", "inspect PARKED: no answer from the broker", { cause });
      });
    const stored = new Map<string, StreamOf>();
    for (const subject of Object.keys(state.subjects ?? {})) {
      const [, , tenant = "", stream = ""] = subject.split(".");
      stored.set(`${tenant}.${stream}`, { tenant, stream });
    }
    for (const [key, of] of stored) streams.set(key, of);
    if (before === changes) {
      for (const key of streams.keys()) if (!stored.has(key) && !onTheWay.has(key)) streams.delete(key);
    }
    if (stored.size > 0) tell();
  };

  let looking: Promise<void> | undefined;
  const look = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      await clock.sleep(lookMs, closing.signal);
      if (closing.signal.aborted) return;
      await refresh().catch((caught: unknown) =>
        log.warn("parked batches not inspected, trying again", { error: String(caught) }),
      );
    }
  };
  return {
    name: `parking ${stage}`,
    stage,
    // Before anything is pulled: what is parked already goes first.
    start: async () => {
      await refresh();
      looking = look();
    },
    stop: async () => {
      closing.abort();
      await looking;
    },
    holds: (of) => streams.has(keyOf(of)),
    park: async (open, lease) => {
      const { header } = open;
      const key = keyOf(header);
      changes += 1;
      onTheWay.set(key, (onTheWay.get(key) ?? 0) + 1);
      if (!streams.has(key)) {
        streams.set(key, { tenant: header.tenant, stream: header.stream });
        log.warn("only this stream is blocked: its batches are parked", { stream: header.stream, stage });
      }
      try {
        for (const [index, piece] of splitBatch(open, header.count, pieceBytesMax, "parked").entries()) {
          if (lease.isLost()) throw new CodedError("canceled", "park batch: this process stood still");
          await publisher.publish({
            subject: subjects.parked(stage, header.tenant, header.stream),
            data: encodeBatch(piece, { $case: "inline", value: piece.body }),
            id: outputId(idText(header.id), `parked-${stage}`, index),
            messageCount: piece.header.count,
          });
        }
      } catch (caught) {
        throw parkError(caught);
      } finally {
        changes += 1;
        const left = (onTheWay.get(key) ?? 1) - 1;
        if (left === 0) onTheWay.delete(key);
        else onTheWay.set(key, left);
      }
      count.inc({ stage });
      tell();
    },
    parked: () => [...streams.values()],
    refresh,
    onParked: (listener) => {
      tell = listener;
    },
  };
}
