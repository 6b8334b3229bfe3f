import { setImmediate } from "node:timers/promises";
import { u32Column } from "@millrace/envelope";
import { type Batch, Kind, Lane } from "@millrace/proto/batch";
import type { StreamedMessage } from "@millrace/proto/message";
import { Stream } from "@millrace/proto/stream";
import type { Row } from "./outgoing-row.js";

/** A row out of a text. */
export function textRow(text: string, more: Partial<Row> = {}): Row {
  return {
    lane: Lane.LANE_HIGH,
    kind: Kind.KIND_TEXT,
    content: text,
    contentBytes: Buffer.byteLength(text),
    sourceId: "a",
    attributes: [],
    eventTimeMs: 1_000,
    withoutEmbedding: false,
    imageWish: 0,
    columnBytes: 48,
    ...more,
  };
}

export function textMessage(text: string, more: Partial<StreamedMessage> = {}): StreamedMessage {
  return {
    content: { $case: "text", value: text },
    sourceId: "",
    attributes: {},
    eventTime: undefined,
    priority: 0,
    skipEmbedding: false,
    imageFeatures: undefined,
    ...more,
  };
}

export const notesStream: Stream = Stream.fromPartial({
  name: "notes",
  batchSize: 1_000,
  createdMs: 1,
  state: 1,
});

/** Appends that wait until they are answered one by one. */
export interface AppendLog {
  append(batch: Batch): Promise<string>;
  batches: Batch[];
  /** Answers the oldest append that waits: with an error, or as durable. */
  answer(error?: Error): Promise<void>;
}

export function createAppendLog(): AppendLog {
  const batches: Batch[] = [];
  const waiting: { resolve(durability: string): void; reject(error: Error): void }[] = [];
  return {
    batches,
    append: (batch) =>
      new Promise((resolve, reject) => {
        batches.push(batch);
        waiting.push({ resolve, reject });
      }),
    answer: async (error) => {
      while (waiting.length === 0) await setImmediate();
      const oldest = waiting.shift();
      if (error === undefined) oldest?.resolve("synced");
      else oldest?.reject(error);
      await setImmediate();
    },
  };
}

/** The texts of a batch. */
export function textsIn(batch: Batch | undefined): string[] {
  const body = batch?.body?.$case === "inline" ? batch.body.value : new Uint8Array();
  let at = 0;
  return Array.from(u32Column(batch?.columns?.lengths ?? new Uint8Array()), (length) => {
    at += length;
    return Buffer.from(body.subarray(at - length, at)).toString();
  });
}
