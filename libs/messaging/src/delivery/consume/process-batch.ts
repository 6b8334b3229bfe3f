import { CodedError, present, shownReason } from "@millrace/errors";
import { idText, type OpenBatch, selectRows } from "@millrace/envelope";
import type { JsMsg } from "@nats-io/jetstream";
import { laneToken } from "../../broker/subjects.js";
import type { RowFailure } from "../dead-letters.js";
import { parkedStream } from "../../broker/streams.js";
import { handleInTime, type Pace } from "./hand/handling.js";
import type { Lease } from "./hand/lease.js";
import type { Meters } from "./hand/meters.js";
import type { OutgoingBatch, Outcome, StageOptions } from "./options.js";

/** A delivery while it is worked on. */
export interface Delivery {
  message: JsMsg;
  /** `<tenant>.<stream>`. */
  stream: string;
  lease: Lease;
  /** Which work on the batch this is, without what was given back. */
  attempt: number;
  /** Processes that ended while they worked on it alone. */
  ended: number;
  signal: AbortSignal;
  meters: Meters;
  /** Work that goes on in another process leaves its place to others. */
  aside<T>(work: () => Promise<T>): Promise<T>;
  /** Work on a suspect: one at a time, so that the one is known that was worked on when its process ends. */
  alone(work: () => Promise<void>): Promise<void>;
  /** What came of it is told to the broker now, which may deliver the next one. */
  tells(): void;
}

/** From this attempt on a batch is tried alone first: it may be what ended the others. */
const trialFromAttempt = 3;

/** Everything that comes of a batch, up to the ledger; only the ack is left. */
export async function processBatch(
  opened: OpenBatch,
  delivery: Delivery,
  options: StageOptions,
): Promise<void> {
  if (delivery.attempt < trialFromAttempt) await passOn(opened, opened, delivery, options);
  else await passSuspect(opened, delivery, options);
  delivery.meters.messages(opened.header.count);
  options.release?.(opened);
}

/** What failed alone in a trial goes to the dead letters, the rest passes. */
async function passSuspect(opened: OpenBatch, delivery: Delivery, options: StageOptions): Promise<void> {
  const { trial } = options;
  const all = { passed: [{ from: 0, to: opened.header.count }], failed: [] };
  const { passed, failed } =
    trial === undefined ? all : await delivery.aside(() => trial.judge(opened, delivery.signal));
  for (const { row, error } of failed) {
    options.runtime.log.error("message failed alone", { row, code: error.code, error: shownReason(error) });
  }
  await delivery.alone(async () => {
    for (const { from, to } of passed) {
      const piece = selectRows(opened, from, to, { stage: "trial", index: from });
      await passOn(piece, opened, delivery, options);
    }
    await bury(opened, failed, delivery, options);
  });
}

/** `piece` is `whole`, or some rows of it. */
async function passOn(
  piece: OpenBatch,
  whole: OpenBatch,
  delivery: Delivery,
  options: StageOptions,
): Promise<void> {
  const lane = laneToken(piece.header.lane);
  let done = await options.turns?.take(lane);
  const aside = async <T>(work: Promise<T>): Promise<T> => {
    done?.();
    done = undefined;
    try {
      return await work;
    } finally {
      done = await options.turns?.take(lane);
    }
  };
  const what = `batch ${idText(piece.header.id)} of ${piece.header.stream}`;
  const { info, subject } = delivery.message;
  const isRedelivered = info.deliveryCount > 1 || subject.startsWith(`${parkedStream.toLowerCase()}.`);
  const handle = (pace: Pace): Promise<Outcome> =>
    options.handle(piece, delivery.signal, { ...pace, aside, isRedelivered });
  const outcome = await handleInTime(options.runtime, what, handle).finally(() => done?.());
  const verify = (): void | Promise<void> => {
    requireLease(delivery.lease);
    return options.verify?.(whole);
  };
  await verify();
  const [published] = await Promise.all([
    Promise.all((outcome.publish ?? []).map((out) => options.publisher.publish(out))),
    publishBatches(piece, outcome.batches ?? [], options, verify),
  ]);
  await bury(piece, outcome.failures ?? [], delivery, options);
  if (outcome.dropped !== undefined) delivery.meters.dropped(outcome.dropped, piece.header.count);
  await outcome.after?.(published);
}

export async function publishBatches(
  from: OpenBatch,
  batches: readonly OutgoingBatch[],
  options: Pick<StageOptions, "batches">,
  verify: () => void | Promise<void>,
): Promise<void> {
  if (batches.length === 0) return;
  const publisher = present(options.batches, "batch publisher");
  const publish = ({ batch, subject }: OutgoingBatch): Promise<unknown> =>
    publisher.publish(batch, subject, verify);
  if (!isOrdered(from)) {
    await Promise.all(batches.map(publish));
    return;
  }
  for (const batch of batches) await publish(batch);
}

/** Batches of ordered streams travel in a numbered partition. */
const isOrdered = ({ header }: OpenBatch): boolean => /^p[0-9]+$/.test(header.partition);

async function bury(
  open: OpenBatch,
  failures: readonly RowFailure[],
  { lease, attempt }: Delivery,
  options: StageOptions,
): Promise<void> {
  if (failures.length === 0) return;
  requireLease(lease);
  for (const { row, error } of failures) await options.deadLetters.write(open, [row], error, attempt);
  await options.onDead?.(
    open,
    failures.map(({ row }) => row),
  );
}

/** The whole of a delivery to the dead letters. */
export async function buryAll(delivery: Delivery, error: CodedError, options: StageOptions): Promise<void> {
  const { message } = delivery;
  const tokens = message.subject.split(".");
  const of = {
    tenant: tokens.at(-2) ?? "",
    stream: tokens.at(-1) ?? "",
    id: message.headers?.get("Nats-Msg-Id") ?? String(message.seq),
  };
  requireLease(delivery.lease);
  let opened: OpenBatch | undefined;
  try {
    opened = await options.open(message.data);
  } catch {
    await options.deadLetters.writeUndecodable(message.data, of, error);
    return;
  }
  const failures = Array.from({ length: opened.header.count }, (_, row) => ({ row, error }));
  await bury(opened, failures, delivery, options);
}

/** Errors: `canceled`. Another process may have the delivery by now, and what it publishes is what counts. */
function requireLease(lease: Lease): void {
  if (lease.isLost()) throw new CodedError("canceled", "process batch: this process stood still");
}
