import type { DeadLetter } from "@millrace/proto/deadletter";
import type { ShowLetterResponse } from "@millrace/proto/work";
import type { LetterKeeper } from "../state/endpoints.js";
import type { Stored } from "../state/stored.js";

/** What privacy gave up, what the stages behind it did, and what triggers did. */
export const shelfNames = ["raw", "clean", "trigger"] as const;
export type ShelfName = (typeof shelfNames)[number];

/** Who reads and erases the letters of a shelf. */
export const keeperOf = (shelf: ShelfName): LetterKeeper => (shelf === "raw" ? "privacy" : "output");

/** A letter as its shelf knows it. */
export interface HeldLetter {
  stream: string;
  stage: string;
  code: string;
  /** Without payload. */
  describe(): Omit<DeadLetter, "id">;
  /** Without personal data. */
  show(): Promise<Omit<ShowLetterResponse, "letter">>;
  /** Resolves when it came through and is stored. Errors: what it failed with; `failed_precondition`. */
  redrive(signal: AbortSignal): Promise<void>;
}

/** Letters of one kind, and what can be done with each. */
export interface Shelf {
  name: ShelfName;
  jetStream: "DLQ_RAW" | "DLQ";
  /** Where a stream's lie, or those of each where it is empty; others may lie there too. */
  filter(tenant: string, stream: string): string;
  open(stored: Pick<Stored, "subject" | "data">): HeldLetter;
}
