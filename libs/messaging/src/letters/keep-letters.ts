import { CodedError, shownReason } from "@millrace/errors";
import { messageViews, type OpenBatch, rowKind } from "@millrace/envelope";
import { DeadLetter, Kind } from "@millrace/proto/batch";
import type { DeadLetter as ShownLetter, Failure } from "@millrace/proto/deadletter";
import type { Message } from "@millrace/proto/message";
import type {
  DiscardLettersResponse,
  LettersRequest,
  ListLettersRequest,
  ListLettersResponse,
  RedriveLettersResponse,
  ShowLetterRequest,
  ShowLetterResponse,
} from "@millrace/proto/work";
import type { Component, Runtime } from "@millrace/runtime";
import type { Broker } from "../broker/broker.js";
import { subjects } from "../broker/subjects.js";
import {
  discardLettersEndpoint,
  type LetterKeeper,
  listLettersEndpoint,
  redriveLettersEndpoint,
  showLetterEndpoint,
} from "../state/endpoints.js";
import { serveRequests } from "../state/requests.js";
import { eraseStored, readOneStored, readPage, type Stored } from "../state/stored.js";
import { openLetter, refusalOf } from "./open-letter.js";
import type { Redrive } from "./redrive.js";

export interface KeepLettersParts {
  broker: Broker;
  runtime: Runtime;
  keeper: LetterKeeper;
  /** What may be shown of a letter's message. Errors: it is withheld, for the error's reason. */
  show(open: OpenBatch): Promise<OpenBatch>;
  redrive: Redrive;
}

interface Side {
  jetStream: string;
  name: "raw" | "clean";
}

/** Read at once: letters carry whole messages. */
const page = { countMax: 500, bytesMax: 16 * 1024 * 1024 };
const shownBytesMax = 1024 * 1024;
const failuresMax = 100;

/** Answers for the letters of one side: list, show, redrive, discard. */
export function keepLetters(parts: KeepLettersParts): Component[] {
  const { broker, runtime, keeper } = parts;
  const side: Side =
    keeper === "privacy" ? { jetStream: "DLQ_RAW", name: "raw" } : { jetStream: "DLQ", name: "clean" };
  const stopped = new AbortController();
  return [
    serveRequests(broker, runtime, listLettersEndpoint(keeper), (request) => list(parts, side, request)),
    serveRequests(broker, runtime, showLetterEndpoint(keeper), (request) => show(parts, side, request)),
    serveRequests(broker, runtime, redriveLettersEndpoint(keeper), (request) =>
      redriveAll(parts, side, request, stopped.signal),
    ),
    serveRequests(broker, runtime, discardLettersEndpoint(keeper), (request) =>
      discardAll(parts, side, request),
    ),
    { name: "letters", stop: async () => stopped.abort() },
  ];
}

interface Found {
  seq: number;
  stream: string;
  letter: DeadLetter;
}

const foundOf = ({ seq, subject, data }: Stored): Found => ({
  seq,
  stream: subject.split(".").at(-1) ?? "",
  letter: DeadLetter.decode(data),
});

type Wanted = Pick<LettersRequest, "tenant" | "stream" | "stage" | "code" | "after">;

/** One page of the broker, of which those are left that are asked for. */
async function findLetters(
  { broker }: KeepLettersParts,
  side: Side,
  { wanted, countMax }: { wanted: Wanted; countMax: number },
): Promise<{ found: Found[]; nextAfter: number }> {
  const { tenant, stream, stage, code, after } = wanted;
  const filter = subjects.deadLetter(side.name, tenant, stream === "" ? "*" : stream);
  const { jetStream } = side;
  const { messages, more } = await readPage(broker, { jetStream, filter, after, ...page, countMax });
  const found = messages
    .map(foundOf)
    .filter(
      ({ letter }) => (stage === "" || letter.stage === stage) && (code === "" || letter.code === code),
    );
  return { found, nextAfter: more ? (messages.at(-1)?.seq ?? 0) : 0 };
}

async function list(
  parts: KeepLettersParts,
  side: Side,
  request: ListLettersRequest,
): Promise<ListLettersResponse> {
  const countMax = Math.max(1, Math.min(request.countMax, page.countMax));
  const { found, nextAfter } = await findLetters(parts, side, { wanted: request, countMax });
  return { letters: found.map((each) => describe(side, each)), nextAfter };
}

const letterId = (side: Side, seq: number): string => `${side.name}-${seq}`;

function describe(side: Side, { seq, stream, letter }: Found): ShownLetter {
  const { stage, code, reason, attempts, timeMs, truncatedBytes, batch } = letter;
  const { header, columns } = batch ?? {};
  const kept = batch?.body?.$case === "inline" ? batch.body.value.length : 0;
  return {
    id: letterId(side, seq),
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
  };
}

function kindName(kind: Kind | undefined): string {
  if (kind === Kind.KIND_IMAGE) return "image";
  return kind === Kind.KIND_DATA ? "data" : "text";
}

async function findOne({ broker }: KeepLettersParts, side: Side, of: ShowLetterRequest): Promise<Found> {
  const { tenant, number } = of;
  const stored = await readOneStored(broker, side.jetStream, number);
  if (stored?.subject.startsWith(`dlq.${side.name}.${tenant}.`) !== true) {
    throw new CodedError("not_found", `dead letter ${letterId(side, number)}: there is none of that id`, {
      field: "id",
      remedy: "List the dead letters: it may have been redriven or discarded, or its 14 days are over.",
    });
  }
  return foundOf(stored);
}

async function show(
  parts: KeepLettersParts,
  side: Side,
  request: ShowLetterRequest,
): Promise<ShowLetterResponse> {
  const found = await findOne(parts, side, request);
  const letter = describe(side, found);
  const withhold = (withheld: string): ShowLetterResponse => ({
    letter,
    message: undefined,
    withheld,
    cutBytes: 0,
  });
  let open: OpenBatch | undefined;
  try {
    open = openLetter(found.letter);
  } catch {
    open = undefined;
  }
  // A value that is cut is no value that a detector knows.
  if (open === undefined) return withhold("the message is not kept whole, or could not be read");
  if (side.name === "raw" && rowKind(open.columns, 0) === Kind.KIND_IMAGE)
    return withhold("it is an image that has not been cleaned");
  try {
    const { message, cutBytes } = cutContent(messageViews(await parts.show(open))(0));
    return { letter, message, withheld: "", cutBytes };
  } catch (caught) {
    const { code } = CodedError.from(caught, "show a dead letter");
    return withhold(`the filter fails on it (${code})`);
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

async function redriveAll(
  parts: KeepLettersParts,
  side: Side,
  request: LettersRequest,
  signal: AbortSignal,
): Promise<RedriveLettersResponse> {
  const { clock, log } = parts.runtime;
  const failures: Failure[] = [];
  let redriven = 0;
  const redriveOne = async ({ seq, letter, stream }: Found): Promise<void> => {
    try {
      await parts.redrive(letter, signal);
      await eraseStored(parts.broker, side.jetStream, seq);
      redriven += 1;
    } catch (caught) {
      const error = CodedError.from(caught, "redrive a dead letter");
      if (request.number > 0 || error.code === "canceled") throw error;
      log.warn("a dead letter stays", { stream, stage: letter.stage, code: error.code });
      failures.push({ id: letterId(side, seq), code: error.code, reason: shownReason(error) });
    }
  };
  if (request.number > 0) {
    await redriveOne(await findOne(parts, side, request));
    return { redriven, failures, nextAfter: 0 };
  }
  const until = clock.monotonic() + request.timeMs;
  for (let { after } = request; ; ) {
    const { found, nextAfter } = await findLetters(parts, side, {
      wanted: { ...request, after },
      countMax: 50,
    });
    for (const each of found) {
      if (clock.monotonic() >= until || failures.length >= failuresMax)
        return { redriven, failures, nextAfter: each.seq - 1 };
      await redriveOne(each);
    }
    if (nextAfter === 0) return { redriven, failures, nextAfter: 0 };
    after = nextAfter;
  }
}

async function discardAll(
  parts: KeepLettersParts,
  side: Side,
  request: LettersRequest,
): Promise<DiscardLettersResponse> {
  const { broker, runtime } = parts;
  const erase = async ({ seq }: Found): Promise<number> =>
    (await eraseStored(broker, side.jetStream, seq)) ? 1 : 0;
  if (request.number > 0)
    return { discarded: await erase(await findOne(parts, side, request)), nextAfter: 0 };
  const until = runtime.clock.monotonic() + request.timeMs;
  let discarded = 0;
  for (let { after } = request; ; ) {
    const { found, nextAfter } = await findLetters(parts, side, {
      wanted: { ...request, after },
      countMax: 50,
    });
    for (const each of found) discarded += await erase(each);
    if (nextAfter === 0) return { discarded, nextAfter: 0 };
    after = nextAfter;
    if (runtime.clock.monotonic() >= until) return { discarded, nextAfter: after };
  }
}
