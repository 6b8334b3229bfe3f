import { present } from "@millrace/errors";
import type { StreamedMessage } from "@millrace/proto/message";
import type { MillraceError } from "../rpc/millrace-error.js";

// The messages of one epoch that are not settled yet, in the order of their sequence numbers:
//
//        base                  unsent                end
//         │ sent, not settled    │ still to be sent    │
//   ──────┴──────────────────────┴─────────────────────┴──► sequence
//   settled
//
// A new connection moves `unsent` back to `base`: everything that is not settled goes again.

export interface Pending {
  message: StreamedMessage;
  bytes: number;
  resolve: (sequence: number) => void;
  reject: (error: MillraceError) => void;
}

export interface Frame {
  firstSequence: number;
  messages: StreamedMessage[];
}

export interface FrameLimits {
  messagesMax: number;
  bytesMax: number;
}

export interface SendWindow {
  /** Messages and bytes that are not settled. */
  readonly size: number;
  readonly bytes: number;
  /** How many of them were sent on this connection. */
  readonly sentCount: number;
  readonly unsentCount: number;
  add(pending: Pending): void;
  /** The next messages to send, in order; at least one where any is left and `messagesMax` allows one. */
  take(limits: FrameLimits): Frame | undefined;
  /**
   * Settles what was sent on this connection below that sequence number; true if that was anything. What was
   * not
   * sent on this connection stays: its refusal may have been lost with the connection before.
   */
  acknowledge(below: number, rejections: ReadonlyMap<number, MillraceError>): boolean;
  rewind(): void;
  /** Rejects everything and empties the window. */
  fail(error: MillraceError): void;
}

/** Settled entries are cut off once there are so many, so that cutting stays cheap. */
const settledMax = 4_096;

export function createSendWindow(): SendWindow {
  let entries: Pending[] = [];
  let entriesBase = 0;
  let base = 0;
  let unsent = 0;
  let bytes = 0;
  const rejected = new Map<number, MillraceError>();

  const end = (): number => entriesBase + entries.length;
  const at = (sequence: number): Pending =>
    present(entries[sequence - entriesBase], "an entry of the window");
  const settle = (sequence: number): void => {
    const entry = at(sequence);
    const error = rejected.get(sequence);
    rejected.delete(sequence);
    bytes -= entry.bytes;
    if (error === undefined) entry.resolve(sequence);
    else entry.reject(error);
  };

  return {
    get size() {
      return end() - base;
    },
    get bytes() {
      return bytes;
    },
    get sentCount() {
      return unsent - base;
    },
    get unsentCount() {
      return end() - unsent;
    },
    add(pending) {
      entries.push(pending);
      bytes += pending.bytes;
    },
    take(limits) {
      const firstSequence = unsent;
      const messages = cutFrame(entries, unsent - entriesBase, limits);
      unsent += messages.length;
      return messages.length === 0 ? undefined : { firstSequence, messages };
    },
    acknowledge(below, rejections) {
      for (const [sequence, error] of rejections) {
        if (sequence >= base && sequence < unsent) rejected.set(sequence, error);
      }
      const from = base;
      for (; base < Math.min(below, unsent); base += 1) settle(base);
      if (base - entriesBase >= settledMax || base === end()) {
        entries = entries.slice(base - entriesBase);
        entriesBase = base;
      }
      return base > from;
    },
    rewind() {
      unsent = base;
    },
    fail(error) {
      for (; base < end(); base += 1) at(base).reject(rejected.get(base) ?? error);
      entries = [];
      entriesBase = base;
      unsent = base;
      bytes = 0;
      rejected.clear();
    },
  };
}

/** The messages of a frame that begins at that entry. */
function cutFrame(
  entries: readonly Pending[],
  from: number,
  { messagesMax, bytesMax }: FrameLimits,
): StreamedMessage[] {
  const messages: StreamedMessage[] = [];
  let bytes = 0;
  for (let next = from; next < entries.length && messages.length < messagesMax; next += 1) {
    const entry = present(entries[next], "an entry of the window");
    bytes += entry.bytes;
    if (messages.length > 0 && bytes > bytesMax) break;
    messages.push(entry.message);
  }
  return messages;
}
