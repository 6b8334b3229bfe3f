import { type DeadLetter, DeadLetterServiceService, type Failure } from "@millrace/proto/deadletter";
import type { Event } from "@millrace/proto/event";
import { type StoredMessage, toStored } from "../receive/received-message.js";
import type { Channel } from "../rpc/channel.js";
import { MillraceError } from "../rpc/millrace-error.js";
import { checkText } from "../units/checks.js";

export type { DeadLetter };

/** Which letters: all of a stream, or those of a stage or with a code. */
export interface DeadLetterFilter {
  stream: string;
  stage?: string;
  code?: string;
}

export interface ShownDeadLetter {
  letter: DeadLetter;
  /** Without personal data; undefined where `withheld` says why. */
  message: StoredMessage | undefined;
  withheld: string;
  /** Left out of the content here, which is shown up to 1 MiB. */
  cutBytes: number;
  /** What a trigger gave up on: ids and counts, no content. */
  event: { id: string; type: string; stream: string; time: Date; payload: object } | undefined;
}

export interface Redriven {
  redriven: number;
  /** Letters that stay, with the reason. */
  failures: readonly Failure[];
}

/** Messages that could not be processed, and events that triggers gave up on. */
export interface DeadLetters {
  /** All letters, or those of a filter, without payload. */
  list(filter?: Partial<DeadLetterFilter>, options?: { signal?: AbortSignal }): AsyncIterable<DeadLetter>;
  get(id: string): Promise<ShownDeadLetter>;
  /**
   * Hands one letter, or all of a filter, to the stage or trigger again that gave it up. One that fails again
   * is thrown; of many, those that fail are listed, and stay.
   */
  redrive(which: string | DeadLetterFilter): Promise<Redriven>;
  /** Removes one letter, or all of a filter, for good; resolves with how many there were. */
  discard(which: string | DeadLetterFilter): Promise<number>;
}

export function createDeadLetters(channel: Channel): DeadLetters {
  return {
    async *list({ stream = "", stage = "", code = "" } = {}, { signal } = {}) {
      const call = { attempted: "list dead letters", ...(signal !== undefined && { signal }) };
      for (let pageToken = "", isFirst = true; isFirst || pageToken !== ""; isFirst = false) {
        const request = { stream, stage, code, pageSize: 0, pageToken };
        const page = await channel.unary(DeadLetterServiceService.listDeadLetters, request, call);
        yield* page.letters;
        pageToken = page.nextPageToken;
      }
    },
    async get(id) {
      checkText(id, "id");
      const call = { attempted: `get dead letter ${id}` };
      const shown = await channel.unary(DeadLetterServiceService.getDeadLetter, { id }, call);
      const { letter, message, withheld, cutBytes, event } = shown;
      if (letter === undefined) throw new MillraceError("internal", `dead letter ${id} came empty`);
      return { letter, message: message && toStored(message), withheld, cutBytes, event: shownEvent(event) };
    },
    async redrive(which) {
      const call = { attempted: "redrive dead letters" };
      const failures: Failure[] = [];
      let redriven = 0;
      for (let request = firstOf(which); ; ) {
        const done = await channel.unary(DeadLetterServiceService.redriveDeadLetters, request, call);
        redriven += done.redriven;
        failures.push(...done.failures);
        if (done.nextPageToken === "") return { redriven, failures };
        request = { ...request, pageToken: done.nextPageToken };
      }
    },
    async discard(which) {
      const call = { attempted: "discard dead letters" };
      let discarded = 0;
      for (let request = firstOf(which); ; ) {
        const done = await channel.unary(DeadLetterServiceService.discardDeadLetters, request, call);
        discarded += done.discarded;
        if (done.nextPageToken === "") return discarded;
        request = { ...request, pageToken: done.nextPageToken };
      }
    },
  };
}

function shownEvent(event: Event | undefined): ShownDeadLetter["event"] {
  if (event === undefined) return undefined;
  const { id, type, stream, timeMs, payload } = event;
  return { id, type, stream, time: new Date(timeMs), payload: payload?.value ?? {} };
}

function firstOf(which: string | DeadLetterFilter) {
  if (typeof which === "string") {
    checkText(which, "id");
    return { id: which, stream: "", stage: "", code: "", pageToken: "" };
  }
  const { stream, stage = "", code = "" } = which;
  checkText(stream, "stream");
  return { id: "", stream, stage, code, pageToken: "" };
}
