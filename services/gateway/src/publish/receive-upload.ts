import { CodedError } from "@millrace/errors";
import { limits } from "@millrace/envelope";
import type { OpenCalls } from "../rpc/open-calls.js";
import type { EachRequest } from "../rpc/upload-call.js";
import { checkLength } from "./outgoing-row.js";
import type { Holder, PendingBudget } from "./pending-budget.js";

// An upload, whose bytes count as pending from its first word on:
//
//   open ──checked, room taken──► frames, each at most 256 KiB ──the caller ends──► room given, content whole
//
// Room for all of it is taken at once: uploads that each had half of theirs would wait for one another.

/** A request of an upload: `UploadContentRequest`, `AddImageRequest`. */
export interface UploadStep<Open> {
  step?: { $case: "open"; value: Open } | { $case: "frame"; value: Uint8Array } | undefined;
}

/** What an `open` says, once it is checked. */
export interface Upload {
  kind: "image" | "data";
  /** Of the whole content; 0: not known. */
  contentBytes: number;
  /** Whose room it takes. */
  holder: Holder;
}

export interface UploadParts {
  budget: PendingBudget;
  openCalls: OpenCalls;
}

/**
 * The content, once all of it is here. `begin` checks what the caller opened with. Errors:
 * `invalid_argument`, `resource_exhausted`.
 */
export async function receiveUpload<Open, Begun extends Upload>(
  { budget, openCalls }: UploadParts,
  each: EachRequest<UploadStep<Open>>,
  begin: (open: Open) => Promise<Begun>,
): Promise<{ begun: Begun; content: Uint8Array }> {
  let begun: Begun | undefined;
  let bytesMax = 0;
  const frames: Uint8Array[] = [];
  let received = 0;
  let release = (): void => undefined;
  const ended = new AbortController();
  const take = async ({ step }: UploadStep<Open>): Promise<void> => {
    if (begun !== undefined) {
      const frame = frameOf(step);
      received += frame.length;
      if (received > bytesMax) throw tooLong(bytesMax);
      frames.push(frame);
      return;
    }
    if (step?.$case !== "open") throw unexpected("open");
    const next = await begin(step.value);
    const { kind, contentBytes, holder } = next;
    checkLength(kind, contentBytes, "upload");
    bytesMax = contentBytes === 0 ? largest[kind] : contentBytes;
    const { signal, close } = openCalls.open(holder.stream);
    signal.addEventListener("abort", () => ended.abort(signal.reason), { once: true });
    release = close;
    budget.take(holder, bytesMax);
    release = () => {
      close();
      budget.give(holder, bytesMax);
    };
    begun = next;
  };
  try {
    await each(ended.signal, take);
  } finally {
    release();
  }
  if (begun === undefined) throw unexpected("open");
  if (begun.contentBytes !== 0 && received !== begun.contentBytes) {
    throw new CodedError(
      "invalid_argument",
      `upload: it ended after ${received} of ${begun.contentBytes} bytes`,
      { field: "open.content_bytes", remedy: "Send all of it again, or leave content_bytes out." },
    );
  }
  return { begun, content: frames.length === 1 ? (frames[0] as Uint8Array) : Buffer.concat(frames) };
}

const largest = { image: limits.imageBytesMax, data: limits.dataBytesMax } as const;

function frameOf(step: UploadStep<unknown>["step"]): Uint8Array {
  if (step?.$case !== "frame") throw unexpected("frame");
  const { value } = step;
  if (value.length <= limits.uploadFrameBytesMax) return value;
  throw new CodedError("invalid_argument", `upload: a frame has ${value.length} bytes`, {
    field: "frame",
    remedy: `Cut the content into frames of at most ${limits.uploadFrameBytesMax} bytes.`,
  });
}

function tooLong(bytesMax: number): CodedError {
  return new CodedError("invalid_argument", `upload: the frames hold more than ${bytesMax} bytes`, {
    field: "frame",
    remedy: "Send a smaller content, and its true length as content_bytes.",
  });
}

function unexpected(wanted: string): CodedError {
  return new CodedError("invalid_argument", `upload: ${wanted} is missing`, {
    field: "step",
    remedy: "Send open once, first, then frames.",
  });
}
