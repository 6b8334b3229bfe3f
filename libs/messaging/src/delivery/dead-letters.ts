import { type CodedError, shownReason } from "@millrace/errors";
import { idText, type OpenBatch, outputId, selectRows, wireBatch } from "@millrace/envelope";
import { Batch, DeadLetter } from "@millrace/proto/batch";
import { Event } from "@millrace/proto/event";
import { subjects } from "../broker/subjects.js";
import type { Publisher } from "./publisher.js";

export interface DeadLetterWriter {
  /** Stores rows of a batch with their bytes and the reason, and tells it as an event. */
  write(open: OpenBatch, rows: readonly number[], error: CodedError, attempts: number): Promise<void>;
  /** Stores a delivery that could not even be decoded, as it came. */
  writeUndecodable(
    bytes: Uint8Array,
    of: { tenant: string; stream: string; id: string },
    error: CodedError,
  ): Promise<void>;
}

export interface DeadLetterOptions {
  publisher: Publisher;
  stage: string;
  /** Letters of raw batches stay on the raw side. */
  side: "raw" | "clean";
  /** Who of the stage: what several give up on makes several letters. */
  by?: string;
  now(): number;
}

/** Of headers: a letter with them must fit one message of the broker. What is longer is cut, and says so. */
const headerBytes = 24 * 1024;

export function createDeadLetterWriter(options: DeadLetterOptions): DeadLetterWriter {
  const { publisher, stage, side } = options;
  const idStage = options.by === undefined ? stage : `${stage}-${options.by}`;
  const tell = (
    letter: DeadLetter,
    of: { tenant: string; stream: string; id: string; messages: number },
  ): Promise<unknown> => {
    const { tenant, stream, id, messages } = of;
    const event: Event = {
      id: outputId(id, "dead-letter-event", 0),
      type: "dead_letter",
      stream,
      timeMs: letter.timeMs,
      payload: { $case: "deadLetter", value: { stage, code: letter.code, reason: letter.reason, messages } },
    };
    return publisher.publish({
      subject: subjects.event(tenant, stream, "dead_letter"),
      data: Event.encode(event).finish(),
      id: event.id,
    });
  };
  const letterFor = (error: CodedError, attempts: number): DeadLetter => ({
    stage,
    code: error.code,
    reason: shownReason(error),
    attempts,
    timeMs: Math.round(options.now()),
    batch: undefined,
    truncatedBytes: 0,
  });
  return {
    write: async (open, rows, error, attempts) => {
      const bytesMax = publisher.bytesMax() - headerBytes;
      const { tenant, stream } = open.header;
      for (const row of rows) {
        const one = selectRows(open, row, row + 1, { stage: `${stage}-dead`, index: row });
        const letter = withBody(letterFor(error, attempts), one.body, wireBatch(one, undefined), bytesMax);
        const id = outputId(idText(open.header.id), `${idStage}-dead`, row);
        await publisher.publish({
          subject: subjects.deadLetter(side, tenant, stream),
          data: DeadLetter.encode(letter).finish(),
          id,
        });
        await tell(letter, { tenant, stream, id, messages: 1 });
      }
    },
    writeUndecodable: async (bytes, of, error) => {
      const nothing = Batch.create();
      const letter = withBody(letterFor(error, 1), bytes, nothing, publisher.bytesMax() - headerBytes);
      const id = outputId(of.id, `${stage}-undecodable`, 0);
      await publisher.publish({
        subject: subjects.deadLetter(side, of.tenant, of.stream),
        data: DeadLetter.encode(letter).finish(),
        id,
      });
      await tell(letter, { ...of, id, messages: 0 });
    },
  };
}

/**
 * The letter with as much of the body as fits beside the rest: attributes alone may take half a MiB. What
 * earlier stages found stays with it: who handles it again has it from nowhere else.
 */
function withBody(letter: DeadLetter, bytes: Uint8Array, around: Batch, bytesMax: number): DeadLetter {
  const holding = (body: Uint8Array): DeadLetter => ({
    ...letter,
    batch: { ...around, body: { $case: "inline", value: body } },
    truncatedBytes: bytes.length - body.length,
  });
  // The empty letter counts the truncated bytes; what a body adds are its bytes, its tag and three lengths.
  const room = bytesMax - DeadLetter.encode(holding(new Uint8Array())).finish().length - 32;
  return holding(bytes.subarray(0, Math.max(0, room)));
}

/** An error that concerns only some rows of a batch: these are dead-lettered, the rest passes. */
export interface RowFailure {
  row: number;
  error: CodedError;
}
