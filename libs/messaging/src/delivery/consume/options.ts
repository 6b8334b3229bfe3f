import type { OpenBatch, SendableBatch } from "@millrace/envelope";
import type { Runtime } from "@millrace/runtime";
import type { Broker } from "../../broker/broker.js";
import type { LaneTurns } from "../../lanes/lane-turns.js";
import type { BatchPublisher } from "../batch-publisher.js";
import type { DeadLetterWriter, RowFailure } from "../dead-letters.js";
import type { Outgoing, Published, Publisher } from "../publisher.js";
import type { Trial } from "../trial/trial.js";
import type { Pace } from "./hand/handling.js";
import type { Parking } from "./parking.js";

/** What a handler makes of a batch. */
export interface Outcome {
  /** Batches for the next stage. */
  batches?: readonly OutgoingBatch[];
  /** Anything else: results, contents, events. */
  publish?: readonly Outgoing[];
  /** Rows that could not be processed; the rest of the batch passes. */
  failures?: readonly RowFailure[];
  /** The whole batch is dropped by a rule, such as `stream_deleted`; counted in a metric by this reason. */
  dropped?: string;
  /**
   * Runs when all that is published is stored, before the ack, with the answers to `publish`: ledger entries.
   */
  after?(published: readonly Published[]): void | Promise<void>;
}

export interface OutgoingBatch {
  subject: string;
  batch: SendableBatch;
}

/**
 * Errors are settled by their code (`disposition`). One with scope `stream` says that only this batch's
 * stream is blocked: its batches are parked, the others go on. It returns within `handlingMsMax`, or tells
 * its pace.
 */
export type Handler = (open: OpenBatch, signal: AbortSignal, pace?: Pace) => Promise<Outcome>;

/** What all consumers of a stage have in common. */
export interface StageOptions {
  broker: Broker;
  runtime: Runtime;
  publisher: Publisher;
  /** Needed where the handler makes batches. */
  batches?: BatchPublisher;
  deadLetters: DeadLetterWriter;
  handle: Handler;
  /** Decodes a delivery and fetches its body. */
  open(data: Uint8Array): Promise<OpenBatch>;
  /**
   * Throws where a batch's body is not any more what was opened: what came of it is dropped then. Runs after
   * the handler and again when a body for the next stage is copied, before its reference is published.
   * `aborted` makes the broker deliver the batch again, if it still has it.
   */
  verify?(open: OpenBatch): void | Promise<void>;
  /** The batch is settled and its body not needed any more. */
  release?(open: OpenBatch): void;
  /** Where both lanes of a stage compete for what handling takes: whose turn it is. */
  turns?: LaneTurns;
  /** Told when whole batches are dead, to count them. */
  onDead?(open: OpenBatch, rows: readonly number[]): Promise<void>;
  /** Where a batch that failed twice is tried alone, in a process of its own. */
  trial?: Trial;
  /** Where a stage sets aside what blocks one stream only; without one it waits in place. */
  parking?: Parking;
  /** Deliveries of a stream in hand at most; 0: `parallelismDefault`. */
  parallelismOf?(tenant: string, stream: string): number;
  /** Default: `inFlightMax`. */
  parallelismDefault?: number;
}
