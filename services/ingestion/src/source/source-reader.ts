import type { DeadLetter } from "@millrace/proto/batch";
import type { OpenBatch } from "@millrace/envelope";
import type { Source } from "@millrace/proto/source";
import type { Stream } from "@millrace/proto/stream";

/** Reads one source, whatever its kind, and appends what it gives. */
export interface SourceReader {
  /** Begins to read, in the background. Throws where the settings can't work. */
  start(): void;
  status(): SourceReaderStatus;
  /** Stops reading and waits for the appends in flight. */
  close(): Promise<void>;
}

export interface SourceReaderStatus {
  /**
   * `failed`: it can't read or an append is refused for a reason that waiting may not cure; a reader goes on
   * trying by itself. `waiting`: what it depends on is full or away, as `lastError` says; nothing has failed.
   */
  state: "running" | "waiting" | "failed";
  /** How far it is, in words of its kind: no names, no content. */
  position: string;
  /** Files that it follows, if it does. */
  files?: number;
  /** What is not read yet; left out where the source can't tell. */
  lagBytes?: number;
  lagMessages?: number;
  /** How long the oldest message has waited that is not read yet; left out where the source can't tell. */
  lagSeconds?: number;
  /** Of what can't be read again, while it is read: all that came until then is durable. Wall clock. */
  completeToMs?: number;
  /** May name what was read; passes privacy before anybody sees it. Gone when what failed goes again. */
  lastError: string | undefined;
}

/** What a reader works for, and its ways to buffer. */
export interface SourceContext {
  tenant: string;
  stream: Stream;
  source: Source;
  /**
   * Where buffer says that positions under this key go on: 32 hex digits, from the stream with its creation
   * time and what is read, so that neither meets the positions of another. `from`: where the source
   * would begin by itself, 0 when absent; what is accepted from there on without a gap is passed over.
   */
  lastPosition(key: string, from?: number): Promise<number>;
  /** Resolves when durable. Buffer fills in id, partition and accept time. */
  append(batch: OpenBatch): Promise<void>;
  /** As `append`, for what can't be a message: a dead letter with what was kept of it. */
  reject(letter: Rejected): Promise<void>;
}

export interface Rejected {
  /** Positions as in a batch; its body holds what was kept. */
  batch: OpenBatch;
  code: DeadLetter["code"];
  /** A fixed sentence, never content. */
  reason: string;
  truncatedBytes: number;
}

/** How sources of a kind are opened. */
export interface SourceKind {
  /**
   * One replica at a time reads such a source. Otherwise each replica has a reader of it, and these share the
   * work among themselves, as the members of a consumer group do.
   */
  leased: boolean;
  open(context: SourceContext): SourceReader;
}

/** Every kind of the contract: one that is missing doesn't compile. */
export type SourceKinds = { readonly [Case in SourceCase]: SourceKind };

export type SourceCase = NonNullable<Source["kind"]>["$case"];
