/**
 * A process that cleans images, one after the other:
 *
 *   filter ──location──► process     process ──ready | failed──► filter
 *   filter ──image{id, bytes}──► process     process ──cleaned{id, …} | refused{id, error}──► filter
 *
 * What strangers send is decoded here, and by no thread of the service: a decoder or a model that hangs is
 * killed, one that crashes takes nothing along, and the memory for pixels goes back when it is not used.
 *
 * The main export is a type: this file is the entry of a process and is only run.
 */
import type { Box } from "@millrace/images";
import { type Code, CodedError } from "@millrace/errors";
import { cleanImage } from "./clean-image.js";
import { type FaceModelLocation, loadFaceModel } from "./face-model.js";
import type { RunFaceModel } from "./find-faces.js";

export type ToImageWorker =
  | { is: "start"; location: FaceModelLocation }
  | { is: "image"; id: number; bytes: Uint8Array };

export interface WireError {
  code: Code;
  message: string;
  remedy?: string | undefined;
}

export type FromImageWorker =
  | { is: "ready" }
  | { is: "failed"; error: WireError }
  | { is: "cleaned"; id: number; bytes: Uint8Array; faces: Box[] }
  | { is: "refused"; id: number; error: WireError };

let model: RunFaceModel | undefined;

function tell(answer: FromImageWorker): void {
  process.send?.(answer);
}

function wireError(caught: unknown): WireError {
  const { code, message, remedy } = CodedError.from(caught, "filter an image");
  return { code, message, ...(remedy === undefined ? {} : { remedy }) };
}

async function start(location: FaceModelLocation): Promise<void> {
  try {
    model = await loadFaceModel(location);
    tell({ is: "ready" });
  } catch (caught) {
    tell({ is: "failed", error: wireError(caught) });
  }
}

async function clean(id: number, bytes: Uint8Array, run: RunFaceModel | undefined): Promise<void> {
  try {
    if (run === undefined) throw new CodedError("internal", "filter an image: the model is not loaded");
    tell({ is: "cleaned", id, ...(await cleanImage(bytes, run)) });
  } catch (caught) {
    tell({ is: "refused", id, error: wireError(caught) });
  }
}

process.on("disconnect", () => process.exit(0));
process.on("message", (message: ToImageWorker) => {
  void (message.is === "start" ? start(message.location) : clean(message.id, message.bytes, model));
});
