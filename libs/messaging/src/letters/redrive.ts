import { CodedError, present, shownReason } from "@millrace/errors";
import { idText, type OpenBatch } from "@millrace/envelope";
import { DeadLetter } from "@millrace/proto/batch";
import type { Component } from "@millrace/runtime";
import { laneToken } from "../broker/subjects.js";
import { handleInTime } from "../delivery/consume/hand/handling.js";
import type { Outcome, StageOptions } from "../delivery/consume/options.js";
import { publishBatches } from "../delivery/consume/process-batch.js";
import { redriveEndpoint } from "../state/endpoints.js";
import type { Ledger } from "../state/ledger.js";
import { serveRequests } from "../state/requests.js";
import { openLetter, refusalOf } from "./open-letter.js";

/*
 * A stage handles the message of a letter of its own once more, in place, so that nobody else needs to write
 * where it reads. Whatever breaks off in between, the same letter may be redriven again:
 *
 *   trial ──► LEDGER: its death is taken back ──► handle, publish, settle ──► (keeper) the letter is erased
 *     │ fails            │ came through before ──────────────────────────────────────▲
 *     ▼                                              │ fails
 *   the letter stays ◄── LEDGER: it is dead again ◄──┘
 */

/**
 * Resolves when the message came through and is stored. Errors: what it failed with; `failed_precondition`.
 */
export type Redrive = (letter: DeadLetter, signal: AbortSignal) => Promise<void>;

export type RedriveParts = Pick<
  StageOptions,
  "broker" | "runtime" | "publisher" | "batches" | "handle" | "trial" | "turns" | "onDead"
> & {
  ledger: Pick<Ledger, "reopen">;
  /** What the stage holds of its account beside the ledger is taken back too. */
  onReopened?(open: OpenBatch): Promise<void>;
};

export function createRedrive(parts: RedriveParts): Redrive {
  return async (letter, signal) => {
    const refusal = refusalOf(letter);
    if (refusal !== undefined) throw refusal;
    const open = present(openLetter(letter), "the message of a letter that can be redriven");
    const judged = await parts.trial?.judge(open, signal);
    const failed = judged?.failed[0];
    if (failed !== undefined) throw failed.error;
    const { header } = open;
    const interval = { from: header.positionFrom, to: header.positionTo };
    if ((await parts.ledger.reopen(header, interval)) === "settled") return;
    try {
      await parts.onReopened?.(open);
      await pass(open, parts, signal);
    } catch (caught) {
      await parts.onDead?.(open, [0]);
      throw shown(CodedError.from(caught, "redrive"));
    }
  };
}

async function pass(open: OpenBatch, parts: RedriveParts, signal: AbortSignal): Promise<void> {
  const { runtime, publisher, turns, handle } = parts;
  const what = `redriven batch ${idText(open.header.id)}`;
  const done = await turns?.take(laneToken(open.header.lane));
  const outcome: Outcome = await handleInTime(runtime, what, (pace) =>
    handle(open, signal, { ...pace, isRedelivered: true }),
  ).finally(() => done?.());
  const [failure] = outcome.failures ?? [];
  if (failure !== undefined) throw failure.error;
  if (outcome.dropped !== undefined) {
    throw new CodedError("failed_precondition", `redrive: its stage drops the message (${outcome.dropped})`, {
      field: "id",
      remedy: "Give the stream that output again, or discard the letter.",
    });
  }
  const [published] = await Promise.all([
    Promise.all((outcome.publish ?? []).map((out) => publisher.publish(out))),
    publishBatches(open, outcome.batches ?? [], parts, () => undefined),
  ]);
  await outcome.after?.(published);
}

/** What a handler throws may quote what it handled. */
function shown(error: CodedError): CodedError {
  const { code, field, remedy } = error;
  return new CodedError(code, shownReason(error), {
    ...(field !== undefined && { field }),
    ...(remedy !== undefined && { remedy }),
  });
}

/** For output, which keeps the letters of this stage. */
export function serveRedrive(service: "inference" | "semantic-search", parts: RedriveParts): Component {
  const redrive = createRedrive(parts);
  const stopped = new AbortController();
  const served = serveRequests(parts.broker, parts.runtime, redriveEndpoint(service), async ({ letter }) => {
    await redrive(DeadLetter.decode(letter), stopped.signal);
    return {};
  });
  return {
    ...served,
    stop: async (signal) => {
      stopped.abort();
      await served.stop?.(signal);
    },
  };
}
