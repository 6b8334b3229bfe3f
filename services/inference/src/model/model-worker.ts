/**
 * The thread of one session: `run` blocks its thread, so it must not be the one that serves. Messages:
 *
 *   worker ──ready{info}──► pool     once loaded     worker ──failed{error}──► pool   could not load; it ends
 *   pool ──embed{id, text, kind, sentiment}──► worker
 *   worker ──embedded{id, vector, sentiment} | refused{id, error}──► pool
 *   pool ──close──► worker           ends after the text in work
 *
 * The main export is a type: this file is the entry of a worker and is only run.
 */
import { parentPort, workerData } from "node:worker_threads";
import { CodedError, type Code, present } from "@millrace/errors";
import type { Sentiment } from "./sentiment-head.js";
import {
  loadTextModel,
  type ModelInfo,
  type TextKind,
  type TextModel,
  type TextModelLocation,
} from "./text-model.js";

export interface EmbedJob {
  type: "embed";
  id: number;
  text: string;
  kind: TextKind;
  sentiment: boolean;
}

export type ToWorker = EmbedJob | { type: "close" };

/** A CodedError as it crosses threads. */
export interface WireError {
  code: Code;
  message: string;
  remedy: string | undefined;
}

export type FromWorker =
  | { type: "ready"; info: ModelInfo }
  | { type: "failed"; error: WireError }
  | { type: "embedded"; id: number; vector: Float32Array; sentiment: Sentiment | undefined }
  | { type: "refused"; id: number; error: WireError };

const port = present(parentPort, "the port to the pool: model-worker.js is the entry of a worker thread and");

function send(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

function wireError(caught: unknown, attempted: string): WireError {
  const { code, message, remedy } = CodedError.from(caught, attempted);
  return { code, message, remedy };
}

async function answer(model: TextModel, job: EmbedJob): Promise<void> {
  try {
    const vector = await model.embed(job.text, job.kind);
    const sentiment = job.sentiment ? model.sentiment(vector) : undefined;
    send({ type: "embedded", id: job.id, vector, sentiment }, [vector.buffer as ArrayBuffer]);
  } catch (caught) {
    send({ type: "refused", id: job.id, error: wireError(caught, "embed a text") });
  }
}

async function serve(): Promise<void> {
  let model: TextModel;
  try {
    model = await loadTextModel(workerData as TextModelLocation);
  } catch (caught) {
    send({ type: "failed", error: wireError(caught, "load the text model") });
    return;
  }
  // One at a time and in order: `run` of a session is not meant to be entered twice.
  let last = Promise.resolve();
  port.on("message", (message: ToWorker) => {
    last = last.then(async () => {
      if (message.type === "embed") return answer(model, message);
      await model.close();
      port.close();
    });
  });
  send({ type: "ready", info: model.info });
}

await serve();
