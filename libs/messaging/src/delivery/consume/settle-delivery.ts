import { CodedError, type Disposition, disposition, shownReason } from "@millrace/errors";
import { backoffMs } from "@millrace/runtime";
import type { JsMsg } from "@nats-io/jetstream";
import { waitedFor, type WaitingGauge } from "../waiting-gauge.js";
import type { Acks } from "./hand/acks.js";
import type { Attempts } from "./hand/attempts.js";
import type { Jams } from "./hand/places/jams.js";
import type { StageOptions } from "./options.js";
import { isParkedFull } from "./parking.js";
import { buryAll, type Delivery, processBatch } from "./process-batch.js";

export interface SettleParts {
  consumer: string;
  options: StageOptions;
  attempts: Attempts;
  acks: Acks;
  isStopped(): boolean;
  /** Told when a delivery begins (+1) and ends (-1) to wait for what everybody waits for. */
  countWaiting(by: 1 | -1, why: string): void;
  /** Who waits for whom; also those that wait for their own stream. */
  gauge: WaitingGauge;
  /** Of PARKED: it waits for its own stream here, since there is nowhere else to put it. */
  isParked: boolean;
  /** Who is blocked while PARKED is full; undefined: such batches wait in place, since their order counts. */
  jams: Jams | undefined;
  /** For how long the broker keeps a delivery of a jammed stream that is given back. */
  delayJammedMs(message: JsMsg, stream: string): number;
}

/** Errors of a batch's data until one that retrying may cure is final. */
const failuresMax = 5;

/** Processes that ended while they worked on a batch alone, though trials found no fault. */
const endedMax = 10;

/** How long a stream that alone is blocked may hold up its deliveries, and their places, before they move. */
const parkAfterMs = 2_000;

type Verdict = Disposition | "park" | "later" | "lost";

interface Progress {
  tries: number;
  isWaiting: boolean;
  waitsFor: string | undefined;
  isCounted: boolean;
  blockedSinceMs: number | undefined;
}

/** Tries until it is settled one way or another; only waiting goes round. */
export async function settleDelivery(delivery: Delivery, parts: SettleParts): Promise<void> {
  const progress: Progress = {
    tries: 0,
    isWaiting: false,
    waitsFor: undefined,
    isCounted: false,
    blockedSinceMs: undefined,
  };
  try {
    while (!(await tryOnce(delivery, parts, progress))) {
      const pauseMs = backoffMs(progress.tries, parts.options.runtime.random, { firstMs: 50, maxMs: 2_000 });
      progress.tries += 1;
      await parts.options.runtime.clock.sleep(pauseMs, delivery.signal);
    }
  } finally {
    parts.gauge.move(progress.waitsFor, undefined);
    if (progress.isWaiting) parts.countWaiting(-1, "");
  }
}

/** Resolves with whether the delivery is settled. */
async function tryOnce(delivery: Delivery, parts: SettleParts, progress: Progress): Promise<boolean> {
  let failed: CodedError;
  try {
    if (!progress.isCounted) {
      Object.assign(delivery, await parts.attempts.begin(delivery.message));
      progress.isCounted = true;
    }
    const as = await work(delivery, parts, progress);
    await settle(delivery, parts, as);
    return true;
  } catch (caught) {
    failed = CodedError.from(caught, "process batch");
  }
  let verdict = judge(failed, delivery, parts);
  try {
    const failures = verdict === "retry" ? await parts.attempts.fail(delivery.message) : 0;
    if (failures >= failuresMax) verdict = "dead_letter";
    if (verdict === "park" && !isParkedFull(failed) && isOverdue(delivery, parts, progress)) {
      const opened = await parts.options.open(delivery.message.data);
      await parts.options.parking?.park(opened, delivery.lease);
      parts.options.release?.(opened);
      await settle(delivery, parts, "parked");
      return true;
    }
    if (verdict !== "wait" && verdict !== "park") {
      await end(delivery, parts, { verdict, failed, failures, isCounted: progress.isCounted });
      return true;
    }
  } catch (caught) {
    // The dead letters or PARKED may be full or away themselves: that stops the line, it never drops.
    failed = CodedError.from(caught, "set aside");
    if (delivery.lease.isLost() || parts.isStopped()) {
      const given = delivery.lease.isLost() ? "lost" : "release";
      await end(delivery, parts, { verdict: given, failed, failures: 0, isCounted: progress.isCounted });
      return true;
    }
  }
  if (isGivenBack(failed, parts) && parts.jams !== undefined) {
    parts.jams.begin(delivery.stream, waitedFor(failed));
    await end(delivery, parts, { verdict: "later", failed, failures: 0, isCounted: progress.isCounted });
    return true;
  }
  tellWaiting(failed, parts, progress);
  return false;
}

/** Only its stream is blocked, and there is no place to set its batches aside. */
function isGivenBack(failed: CodedError, { options }: SettleParts): boolean {
  return isParkedFull(failed) || (failed.scope === "stream" && options.parking === undefined);
}

function tellWaiting(failed: CodedError, parts: SettleParts, progress: Progress): void {
  const { options, isParked } = parts;
  parts.gauge.move(progress.waitsFor, waitedFor(failed));
  progress.waitsFor = waitedFor(failed);
  const isAlone = failed.scope === "stream" && (isParked || options.parking !== undefined);
  if (progress.isWaiting === isAlone) {
    progress.isWaiting = !isAlone;
    parts.countWaiting(isAlone ? -1 : 1, `${failed.code}: ${shownReason(failed)}`);
  }
  if (progress.tries % 20 === 0) {
    options.runtime.log.warn("waiting for what this batch depends on", {
      consumer: parts.consumer,
      only_this_stream: isAlone,
      code: failed.code,
      error: shownReason(failed),
    });
  }
}

/** Resolves with how it is acknowledged. */
async function work(delivery: Delivery, parts: SettleParts, progress: Progress): Promise<"ack" | "parked"> {
  const { options } = parts;
  if (delivery.ended >= endedMax) {
    throw new CodedError("data_loss", `process batch: ${delivery.ended} processes ended working on it alone`);
  }
  const opened = await options.open(delivery.message.data);
  // Behind what is parked already, so that a stream's batches stay in order.
  if (!parts.isParked && options.parking?.holds(opened.header) === true) {
    await options.parking.park(opened, delivery.lease);
    options.release?.(opened);
    return "parked";
  }
  try {
    await processBatch(opened, delivery, options);
  } catch (caught) {
    if (!(caught instanceof CodedError) || caught.scope !== "stream") progress.blockedSinceMs = undefined;
    throw caught;
  }
  return "ack";
}

function judge(failed: CodedError, delivery: Delivery, parts: SettleParts): Verdict {
  if (delivery.lease.isLost()) return "lost";
  const verdict = disposition(failed.code);
  const waits = verdict === "wait";
  if (delivery.signal.aborted || (parts.isStopped() && waits)) return "release";
  if (waits && failed.scope === "stream" && !parts.isParked && parts.options.parking !== undefined)
    return "park";
  return verdict;
}

/** Whether its stream was blocked for long enough to make room for others. */
function isOverdue({ stream }: Delivery, { options, jams }: SettleParts, progress: Progress): boolean {
  if (jams?.has(stream) === true) return true;
  const now = options.runtime.clock.monotonic();
  progress.blockedSinceMs ??= now;
  return now - progress.blockedSinceMs >= parkAfterMs;
}

interface Ending {
  verdict: Exclude<Verdict, "wait" | "park">;
  failed: CodedError;
  /** Errors of the batch's data until now. */
  failures: number;
  isCounted: boolean;
}

async function end(delivery: Delivery, parts: SettleParts, given: Ending): Promise<void> {
  const { verdict, failed } = given;
  const { message, meters } = delivery;
  const { log } = parts.options.runtime;
  const told = { consumer: parts.consumer, seq: message.seq, code: failed.code, error: shownReason(failed) };
  switch (verdict) {
    case "done":
      return settle(delivery, parts, "ack");
    case "lost":
      // Not even a nak: it would take the delivery from whoever has it now. It stays begun, since a batch
      // that blocks its process for so long is found by a trial only.
      log.warn("paused past the lease: what came of the batch is dropped", told);
      return meters.settled("lost");
    case "release":
      await parts.attempts.takeBack(message, given.isCounted).catch(() => undefined);
      delivery.tells();
      message.nak();
      return meters.settled("release");
    case "later":
      await parts.attempts.takeBack(message, given.isCounted).catch(() => undefined);
      delivery.tells();
      message.nak(parts.delayJammedMs(message, delivery.stream));
      return meters.settled("later");
    case "retry":
      log.warn("batch failed, the broker will deliver it again", told);
      delivery.tells();
      message.nak(500 * 2 ** given.failures);
      return meters.settled("nak");
    case "dead_letter":
      log.error("batch dead-lettered", told);
      await buryAll(delivery, failed, parts.options);
      delivery.tells();
      message.term(failed.code);
      parts.attempts.forget(message);
      return meters.settled("term");
  }
}

async function settle(delivery: Delivery, parts: SettleParts, as: "ack" | "parked"): Promise<void> {
  const { message, meters } = delivery;
  const { attempts, acks, jams } = parts;
  delivery.tells();
  await acks.give(message);
  jams?.end(delivery.stream);
  attempts.forget(message);
  meters.settled(as);
}
