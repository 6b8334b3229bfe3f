import { assert, CodedError } from "@millrace/errors";
import { type Batch, Kind, Lane } from "@millrace/proto/batch";
import { type BatchOf, buildBatch, fits, type PlacedRow } from "./build-batch.js";
import type { Row } from "./outgoing-row.js";
import type { Holder, PendingBudget } from "./pending-budget.js";

// One source of pushed messages, one append at a time:
//
//   empty ──add──► lingering ──full or time is over──► sending ──durable or refused──► empty or lingering
//                                                         └─outcome unknown─► sending (the same batch)
//
// A batch gets its positions when it is closed, and they are taken from then on: one whose outcome is unknown
// is sent again under the same positions until buffer answers, while those who wait for it may give up. A
// batch that buffer refused was not accepted: its positions stay a gap, which interval sets allow.

export interface Receipt {
  /** Where the message stands: the source's key and its number in it. */
  source: string;
  position: number;
  durability: string;
}

export interface Addition {
  row: Row;
  /** Where the client numbers its messages; they must rise. Else they are numbered here, from 0. */
  position?: number;
  /** Where the client gave an idempotency key. */
  id?: string | undefined;
  /** The caller's trace, handed to `append` as it is. */
  trace?: unknown;
}

export interface Closing {
  rowsMax: number;
  /** How far batches of the source are apart at least: what comes within this time travels together. */
  lingerMs: number;
}

export interface PushSource {
  /**
   * Resolves when the message is durable. Errors: buffer's refusal, `resource_exhausted`, `canceled` at the
   * end.
   */
  add(addition: Addition, closing: Closing): Promise<Receipt>;
  /**
   * As `add`, for many messages: told by a call instead of a promise, which costs several times as much.
   * Errors: `resource_exhausted`, at once.
   */
  offer(addition: Addition, closing: Closing, settled: Settled): void;
  /** Resolves when nothing is pending. */
  idle(): Promise<void>;
}

/** What became of a message: durable at a position, or refused. */
export type Settled = (error: CodedError | undefined, position: number, durability: string) => void;

export interface PushSourceOptions {
  of: BatchOf;
  budget: PendingBudget;
  /** Resolves with the durability of the batch. */
  append(batch: Batch, traces: readonly unknown[]): Promise<string>;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Of a clock that is never set back. */
  monotonic(): number;
  backoffMs(attempt: number): number;
  /** Whether a buffer that is full refuses messages or makes them wait. */
  whenFull: "refuse" | "wait";
  /** Aborted when the service gives up what is left. */
  signal: AbortSignal;
}

interface Waiting {
  row: Row;
  position: number | undefined;
  id: string | undefined;
  trace: unknown;
  bytes: number;
  settled: Settled;
}

/** A batch that is not closed yet; all but the last one only wait for their turn. */
interface Forming {
  waiting: Waiting[];
  closing: Closing;
  bodyBytes: number;
  columnBytes: number;
  /** It need not wait for others to join it any more. */
  due: Promise<void> | undefined;
}

export function createPushSource(options: PushSourceOptions): PushSource {
  const { of, budget } = options;
  const forming: Forming[] = [];
  let idleCalls: (() => void)[] = [];
  let nextPosition = 0;
  let isRunning = false;
  /** When the last batch went. */
  let sentAt = Number.NEGATIVE_INFINITY;
  let wake: (() => void) | undefined;

  const high: Holder = { ...of, lane: Lane.LANE_HIGH };
  const low: Holder = { ...of, lane: Lane.LANE_BATCH };
  const holder = (lane: Lane | undefined): Holder => (lane === Lane.LANE_HIGH ? high : low);

  const enqueue = (waiting: Waiting, closing: Closing): void => {
    const { contentBytes, columnBytes } = waiting.row;
    const last = forming.at(-1);
    if (last === undefined || !joins(last, waiting)) {
      // A message that comes alone waits for nobody; those that come fast travel together.
      const waitMs = sentAt + closing.lingerMs - options.monotonic();
      const due = waitMs > 0 ? options.sleep(waitMs) : undefined;
      forming.push({ waiting: [waiting], closing, bodyBytes: contentBytes, columnBytes, due });
      return;
    }
    last.waiting.push(waiting);
    last.bodyBytes += contentBytes;
    last.columnBytes += columnBytes;
  };

  const isReady = ({ waiting, closing }: Forming): boolean =>
    forming.length > 1 || waiting.length >= closing.rowsMax;

  const linger = async (batch: Forming): Promise<void> => {
    // What is offered in one go travels in one batch, also where it is due at once.
    await Promise.resolve();
    if (isReady(batch) || batch.due === undefined) return;
    const full = new Promise<void>((resolve) => (wake = resolve));
    await Promise.race([batch.due, full]);
    wake = undefined;
  };

  const place = (waiting: readonly Waiting[]): PlacedRow[] =>
    waiting.map(({ row, position, id }) => {
      const placed = position ?? nextPosition;
      assert(placed >= nextPosition, "positions of a source rise");
      nextPosition = placed + 1;
      return { row, position: placed, id };
    });

  const send = async (waiting: readonly Waiting[]): Promise<void> => {
    sentAt = options.monotonic();
    const rows = place(waiting);
    const batch = buildBatch(of, rows);
    const traces = waiting.flatMap(({ trace }) => (trace === undefined ? [] : [trace]));
    const bytes = waiting.reduce((total, each) => total + each.bytes, 0);
    try {
      const durability = await untilAnswered(options, () => options.append(batch, traces));
      for (const [index, each] of waiting.entries()) {
        each.settled(undefined, rows[index]?.position ?? 0, durability);
      }
    } catch (caught) {
      const error = CodedError.from(caught, "append to buffer");
      for (const { settled } of waiting) settled(error, 0, "");
    } finally {
      budget.give(holder(waiting[0]?.row.lane), bytes);
    }
  };

  const run = async (): Promise<void> => {
    for (let batch = forming[0]; batch !== undefined; batch = forming[0]) {
      await linger(batch);
      forming.shift();
      await send(batch.waiting);
    }
    isRunning = false;
    const calls = idleCalls;
    idleCalls = [];
    for (const call of calls) call();
  };

  const offer = ({ row, position, id, trace }: Addition, closing: Closing, settled: Settled): void => {
    const bytes = row.contentBytes + row.columnBytes;
    if (options.whenFull === "refuse") budget.take(holder(row.lane), bytes);
    else budget.add(holder(row.lane), bytes);
    enqueue({ row, position, id, trace, bytes, settled }, closing);
    const head = forming[0];
    if (wake !== undefined && head !== undefined && isReady(head)) wake();
    if (isRunning) return;
    isRunning = true;
    void run();
  };

  return {
    offer,
    add: (addition, closing) =>
      new Promise((resolve, reject) => {
        // A throw in here rejects the promise.
        offer(addition, closing, (error, position, durability) => {
          if (error === undefined) resolve({ source: of.source, position, durability });
          else reject(error);
        });
      }),
    idle: () => (isRunning ? new Promise((resolve) => idleCalls.push(resolve)) : Promise.resolve()),
  };
}

/**
 * Whether a message goes into the same batch: one lane, positions without a hole, and all within the bounds.
 * Texts don't wait for images: these take much longer at each stage.
 */
function joins(batch: Forming, { row, position }: Waiting): boolean {
  const before = batch.waiting.at(-1);
  if (before === undefined || before.row.lane !== row.lane) return false;
  if ((before.row.kind === Kind.KIND_IMAGE) !== (row.kind === Kind.KIND_IMAGE)) return false;
  if (position !== undefined && position !== (before.position ?? 0) + 1) return false;
  const size = {
    rows: batch.waiting.length + 1,
    bodyBytes: batch.bodyBytes + row.contentBytes,
    columnBytes: batch.columnBytes + row.columnBytes,
  };
  return fits(size, batch.closing.rowsMax);
}

/** Buffer's answer, asked for as long as the outcome is unknown. Errors: what it refused the batch with. */
async function untilAnswered(options: PushSourceOptions, append: () => Promise<string>): Promise<string> {
  const { signal, whenFull } = options;
  for (let attempt = 0; ; attempt++) {
    try {
      return await append();
    } catch (caught) {
      const error = CodedError.from(caught, "append to buffer");
      if (!isCurable(error, whenFull)) throw error;
      if (signal.aborted) throw unknownOutcome(error);
      await options.sleep(Math.max(options.backoffMs(attempt), error.retryAfterMs ?? 0), signal);
      if (signal.aborted) throw unknownOutcome(error);
    }
  }
}

export function unknownOutcome(cause?: unknown): CodedError {
  return new CodedError("unavailable", "publish: no answer yet, so the outcome is unknown", {
    retryAfterMs: 500,
    remedy: "Send it again with the same idempotency key, or the same epoch and sequence.",
    cause,
  });
}

function isCurable({ code }: CodedError, whenFull: "refuse" | "wait"): boolean {
  switch (code) {
    case "unavailable":
    case "deadline_exceeded":
    case "canceled":
    case "unknown":
    case "internal":
    case "aborted":
      return true;
    case "resource_exhausted":
      return whenFull === "wait";
    default:
      return false;
  }
}
