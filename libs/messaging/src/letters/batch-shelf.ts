import { CodedError } from "@millrace/errors";
import { messageViews, type OpenBatch, rowKind } from "@millrace/envelope";
import { DeadLetter, Kind } from "@millrace/proto/batch";
import type { Message } from "@millrace/proto/message";
import type { ShowLetterResponse } from "@millrace/proto/work";
import { subjects } from "../broker/subjects.js";
import { openLetter, refusalOf } from "./open-letter.js";
import type { Redrive } from "./redrive.js";
import type { HeldLetter, Shelf } from "./shelf.js";

export interface BatchShelfParts {
  side: "raw" | "clean";
  /** What may be shown of a letter's message. Errors: it is withheld, for the error's reason. */
  show(open: OpenBatch): Promise<OpenBatch>;
  redrive: Redrive;
}

const shownBytesMax = 1024 * 1024;

/** Messages that stages gave up, of one side of the filter. */
export function batchShelf(parts: BatchShelfParts): Shelf {
  const { side, redrive } = parts;
  return {
    name: side,
    jetStream: side === "raw" ? "DLQ_RAW" : "DLQ",
    filter: (tenant, stream) => subjects.deadLetter(side, tenant, stream === "" ? "*" : stream),
    open: ({ subject, data }) => {
      const stream = subject.split(".").at(-1) ?? "";
      const letter = DeadLetter.decode(data);
      const { stage, code } = letter;
      return {
        stream,
        stage,
        code,
        describe: () => describe(stream, letter),
        show: () => show(parts, letter),
        redrive: (signal) => redrive(letter, signal),
      };
    },
  };
}

function describe(stream: string, letter: DeadLetter): ReturnType<HeldLetter["describe"]> {
  const { stage, code, reason, attempts, timeMs, truncatedBytes, batch } = letter;
  const { header, columns } = batch ?? {};
  const kept = batch?.body?.$case === "inline" ? batch.body.value.length : 0;
  return {
    stream,
    stage,
    code,
    reason,
    attempts,
    timeMs,
    position: header && { source: header.source, offset: header.positionFrom },
    kind: header === undefined ? "" : kindName(columns?.kinds[0] ?? columns?.kind),
    contentBytes: kept + truncatedBytes,
    truncatedBytes,
    refusal: refusalOf(letter)?.message ?? "",
    trigger: undefined,
  };
}

function kindName(kind: Kind | undefined): string {
  if (kind === Kind.KIND_IMAGE) return "image";
  return kind === Kind.KIND_DATA ? "data" : "text";
}

async function show(parts: BatchShelfParts, letter: DeadLetter): Promise<Omit<ShowLetterResponse, "letter">> {
  const hidden = { message: undefined, cutBytes: 0, event: undefined };
  let open: OpenBatch | undefined;
  try {
    open = openLetter(letter);
  } catch {
    open = undefined;
  }
  // A value that is cut is no value that a detector knows.
  if (open === undefined)
    return { ...hidden, withheld: "the message is not kept whole, or could not be read" };
  if (parts.side === "raw" && rowKind(open.columns, 0) === Kind.KIND_IMAGE)
    return { ...hidden, withheld: "it is an image that has not been cleaned" };
  try {
    const { message, cutBytes } = cutContent(messageViews(await parts.show(open))(0));
    return { message, withheld: "", cutBytes, event: undefined };
  } catch (caught) {
    const { code } = CodedError.from(caught, "show a dead letter");
    return { ...hidden, withheld: `the filter fails on it (${code})` };
  }
}

function cutContent(message: Message): { message: Message; cutBytes: number } {
  const { content } = message;
  if (content === undefined) return { message, cutBytes: 0 };
  if (content.$case === "text") {
    const bytes = Buffer.from(content.value);
    const value = bytes.subarray(0, shownBytesMax).toString();
    const cutBytes = Math.max(0, bytes.length - shownBytesMax);
    return { message: { ...message, content: { $case: "text", value } }, cutBytes };
  }
  const { value } = content;
  const cutBytes = Math.max(0, value.length - shownBytesMax);
  const cut = { ...content, value: value.subarray(0, shownBytesMax) };
  return { message: { ...message, content: cut }, cutBytes };
}
