import { CodedError, shownReason } from "@millrace/errors";
import type { DeadLetter, Failure } from "@millrace/proto/deadletter";
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
import {
  discardLettersEndpoint,
  type LetterKeeper,
  listLettersEndpoint,
  redriveLettersEndpoint,
  showLetterEndpoint,
} from "../state/endpoints.js";
import { serveRequests } from "../state/requests.js";
import { eraseStored, readOneStored, readPage } from "../state/stored.js";
import type { HeldLetter, Shelf } from "./shelf.js";

export interface KeepLettersParts {
  broker: Broker;
  runtime: Runtime;
  keeper: LetterKeeper;
  shelves: readonly Shelf[];
}

/** Read at once: letters carry whole messages. */
const page = { countMax: 500, bytesMax: 16 * 1024 * 1024 };
const failuresMax = 100;

/** Answers for the letters of some shelves: list, show, redrive, discard. */
export function keepLetters(parts: KeepLettersParts): Component[] {
  const { broker, runtime, keeper } = parts;
  const shelfOf = ({ shelf }: { shelf: string }): Shelf => {
    const found = parts.shelves.find(({ name }) => name === shelf);
    if (found !== undefined) return found;
    throw new CodedError("internal", `dead letters: ${keeper} keeps no shelf ${shelf}`);
  };
  const stopped = new AbortController();
  return [
    serveRequests(broker, runtime, listLettersEndpoint(keeper), (request) =>
      list(parts, shelfOf(request), request),
    ),
    serveRequests(broker, runtime, showLetterEndpoint(keeper), (request) =>
      show(parts, shelfOf(request), request),
    ),
    serveRequests(broker, runtime, redriveLettersEndpoint(keeper), (request) =>
      redriveAll(parts, shelfOf(request), request, stopped.signal),
    ),
    serveRequests(broker, runtime, discardLettersEndpoint(keeper), (request) =>
      discardAll(parts, shelfOf(request), request),
    ),
    { name: "letters", stop: async () => stopped.abort() },
  ];
}

interface Found {
  seq: number;
  letter: HeldLetter;
}

type Wanted = Pick<LettersRequest, "tenant" | "stream" | "stage" | "code" | "after">;

/** One page of the broker, of which those are left that are asked for. */
async function findLetters(
  { broker }: KeepLettersParts,
  shelf: Shelf,
  { wanted, countMax }: { wanted: Wanted; countMax: number },
): Promise<{ found: Found[]; nextAfter: number }> {
  const { tenant, stream, stage, code, after } = wanted;
  const filter = shelf.filter(tenant, stream);
  const { jetStream } = shelf;
  const { messages, more } = await readPage(broker, { jetStream, filter, after, ...page, countMax });
  const isWanted = ({ letter }: Found): boolean =>
    (stream === "" || letter.stream === stream) &&
    (stage === "" || letter.stage === stage) &&
    (code === "" || letter.code === code);
  const found = messages.map((stored) => ({ seq: stored.seq, letter: shelf.open(stored) })).filter(isWanted);
  return { found, nextAfter: more ? (messages.at(-1)?.seq ?? 0) : 0 };
}

async function list(
  parts: KeepLettersParts,
  shelf: Shelf,
  request: ListLettersRequest,
): Promise<ListLettersResponse> {
  const countMax = Math.max(1, Math.min(request.countMax, page.countMax));
  const { found, nextAfter } = await findLetters(parts, shelf, { wanted: request, countMax });
  return { letters: found.map((each) => describe(shelf, each)), nextAfter };
}

const letterId = ({ name }: Shelf, seq: number): string => `${name}-${seq}`;

const describe = (shelf: Shelf, { seq, letter }: Found): DeadLetter => ({
  id: letterId(shelf, seq),
  ...letter.describe(),
});

async function findOne({ broker }: KeepLettersParts, shelf: Shelf, of: ShowLetterRequest): Promise<Found> {
  const { tenant, number } = of;
  const stored = await readOneStored(broker, shelf.jetStream, number);
  if (stored?.subject.startsWith(`dlq.${shelf.name}.${tenant}.`) !== true) {
    throw new CodedError("not_found", `dead letter ${letterId(shelf, number)}: there is none of that id`, {
      field: "id",
      remedy: "List the dead letters: it may have been redriven or discarded, or its 14 days are over.",
    });
  }
  return { seq: stored.seq, letter: shelf.open(stored) };
}

async function show(
  parts: KeepLettersParts,
  shelf: Shelf,
  request: ShowLetterRequest,
): Promise<ShowLetterResponse> {
  const found = await findOne(parts, shelf, request);
  return { letter: describe(shelf, found), ...(await found.letter.show()) };
}

async function redriveAll(
  parts: KeepLettersParts,
  shelf: Shelf,
  request: LettersRequest,
  signal: AbortSignal,
): Promise<RedriveLettersResponse> {
  const { clock, log } = parts.runtime;
  const failures: Failure[] = [];
  let redriven = 0;
  const redriveOne = async ({ seq, letter }: Found): Promise<void> => {
    try {
      await letter.redrive(signal);
      await eraseStored(parts.broker, shelf.jetStream, seq);
      redriven += 1;
    } catch (caught) {
      const error = CodedError.from(caught, "redrive a dead letter");
      if (request.number > 0 || error.code === "canceled") throw error;
      const { stream, stage } = letter;
      log.warn("a dead letter stays", { stream, stage, code: error.code });
      failures.push({ id: letterId(shelf, seq), code: error.code, reason: shownReason(error) });
    }
  };
  if (request.number > 0) {
    await redriveOne(await findOne(parts, shelf, request));
    return { redriven, failures, nextAfter: 0 };
  }
  const until = clock.monotonic() + request.timeMs;
  for (let { after } = request; ; ) {
    const { found, nextAfter } = await findLetters(parts, shelf, {
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
  shelf: Shelf,
  request: LettersRequest,
): Promise<DiscardLettersResponse> {
  const { broker, runtime } = parts;
  const erase = async ({ seq }: Found): Promise<number> =>
    (await eraseStored(broker, shelf.jetStream, seq)) ? 1 : 0;
  if (request.number > 0)
    return { discarded: await erase(await findOne(parts, shelf, request)), nextAfter: 0 };
  const until = runtime.clock.monotonic() + request.timeMs;
  let discarded = 0;
  for (let { after } = request; ; ) {
    const { found, nextAfter } = await findLetters(parts, shelf, {
      wanted: { ...request, after },
      countMax: 50,
    });
    for (const each of found) discarded += await erase(each);
    if (nextAfter === 0) return { discarded, nextAfter: 0 };
    after = nextAfter;
    if (runtime.clock.monotonic() >= until) return { discarded, nextAfter: after };
  }
}
