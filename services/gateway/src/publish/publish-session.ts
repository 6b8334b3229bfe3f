import { CodedError } from "@millrace/errors";
import type { StreamName } from "@millrace/envelope";
import { Lane } from "@millrace/proto/batch";
import type { PublishStreamResponse, Rejection, StreamedMessage } from "@millrace/proto/message";
import type { Row } from "./outgoing-row.js";
import type { PendingBudget } from "./pending-budget.js";
import type { Addition, Settled } from "./push-source.js";

/** Messages that a client may have unacknowledged. */
export const creditsMax = 4_096;

export interface SessionOptions {
  /** All numbers below it are durable already. */
  acceptedBelow: number;
  /** Errors: what is wrong with a message; it is told as a rejection. */
  check(message: StreamedMessage): Row;
  /** Errors: as those that `settled` is told, at once. */
  offer(addition: Addition, settled: Settled): void;
  respond(response: PublishStreamResponse): void;
}

/** One connection of a client that numbers its messages. Acknowledges in order, and rejects one by one. */
export interface PublishSession {
  /** Errors: `invalid_argument` where the numbers do not follow each other. */
  take(frame: { firstSequence: number; messages: readonly StreamedMessage[] }): void;
  /** All numbers below it are durable or rejected. */
  acknowledgedBelow(): number;
  /** Of the message that was taken last: what comes next most likely waits for the same room. */
  lane(): Lane;
  /** Whether the client has used up its credits. */
  isFull(): boolean;
  /** Resolves when fewer are pending than before. */
  progress(): Promise<void>;
  /** Resolves when all that was taken is settled and told. */
  settled(): Promise<void>;
}

export function createPublishSession(options: SessionOptions): PublishSession {
  const { acceptedBelow } = options;
  // In order; whatever is settled leaves, so the first one is the lowest.
  const pending = new Set<number>();
  let rejections: Rejection[] = [];
  let expected: number | undefined;
  let toldBelow = acceptedBelow;
  /** A client settles only what it has sent on this connection, so what it sends again is told again. */
  let isRepeated = false;
  let isTelling = false;
  let lane = Lane.LANE_HIGH;
  let waiting: (() => void)[] = [];

  const below = (): number => {
    const [lowest] = pending;
    return Math.max(acceptedBelow, lowest ?? expected ?? 0);
  };
  const tell = (): void => {
    isTelling = false;
    const acknowledgedBelow = below();
    if (acknowledgedBelow > toldBelow || rejections.length > 0 || isRepeated) {
      options.respond({ acknowledgedBelow, credits: creditsMax, rejections });
    }
    toldBelow = acknowledgedBelow;
    isRepeated = false;
    rejections = [];
    const woken = waiting;
    waiting = [];
    for (const wake of woken) wake();
  };
  /** One response for all that a batch settles. */
  const tellSoon = (): void => {
    if (isTelling) return;
    isTelling = true;
    setImmediate(tell);
  };
  const reject = (sequence: number, caught: unknown): void => {
    const { code, message, field, remedy } = CodedError.from(caught, "publish");
    const reason = code === "internal" ? "internal error; see the service's log" : message;
    rejections.push({ sequence, code: code.toUpperCase(), reason, field: field ?? "", remedy: remedy ?? "" });
  };
  const takeOne = (sequence: number, message: StreamedMessage): void => {
    let row: Row;
    try {
      row = options.check(message);
    } catch (caught) {
      // Told again for a number that is sent again: it may have been lost with the connection before.
      return reject(sequence, caught);
    }
    if (sequence < acceptedBelow) {
      isRepeated = true;
      return;
    }
    lane = row.lane;
    pending.add(sequence);
    const settle = (error: unknown): void => {
      if (error !== undefined) reject(sequence, error);
      pending.delete(sequence);
      tellSoon();
    };
    try {
      options.offer({ row, position: sequence }, settle);
    } catch (caught) {
      settle(caught);
    }
  };

  return {
    take: ({ firstSequence, messages }) => {
      if (messages.length > creditsMax) {
        throw invalid(
          "messages.messages",
          `has ${messages.length} messages`,
          `Send at most ${creditsMax} at once.`,
        );
      }
      if (expected !== undefined && firstSequence !== expected) {
        const remedy = `Number it ${expected}, or open anew to send again what was not acknowledged.`;
        throw invalid("messages.first_sequence", `is ${firstSequence}, which does not follow`, remedy);
      }
      for (const [index, message] of messages.entries()) takeOne(firstSequence + index, message);
      expected = firstSequence + messages.length;
      tellSoon();
    },
    acknowledgedBelow: below,
    lane: () => lane,
    isFull: () => pending.size >= creditsMax,
    progress: () => new Promise((resolve) => waiting.push(resolve)),
    settled: async () => {
      while (pending.size > 0 || isTelling) await new Promise<void>((resolve) => waiting.push(resolve));
    },
  };
}

/**
 * Resolves when the client has credits left and the process has room: until then its frames are not read,
 * and stay with it.
 */
export async function roomFor(
  session: PublishSession,
  { budget, of }: { budget: PendingBudget; of: StreamName },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted && session.isFull()) await session.progress();
  while (!signal.aborted && !budget.hasRoom({ ...of, lane: session.lane() })) await budget.change(signal);
}

function invalid(field: string, problem: string, remedy: string): CodedError {
  return new CodedError("invalid_argument", `publish stream: ${field} ${problem}`, { field, remedy });
}
