import type { handleBidiStreamingCall, ServerDuplexStream } from "@grpc/grpc-js";
import { CodedError } from "@millrace/errors";
import type { PublishStreamRequest, PublishStreamResponse } from "@millrace/proto/message";
import { decoded, inServerSpan } from "@millrace/runtime";
import { checkEpoch, epochSource, type Epochs } from "../publish/epochs.js";
import { toRow } from "../publish/outgoing-row.js";
import type { PendingBudget } from "../publish/pending-budget.js";
import { createPublishSession, creditsMax, type PublishSession } from "../publish/publish-session.js";
import { checkActive, closingOf } from "../publish/publisher.js";
import { eachRequest } from "../rpc/each-request.js";
import type { StreamServing } from "../rpc/server-stream.js";
import { statusOf } from "../rpc/unary-call.js";
import { type FindStream, requireStream } from "../stream/stream-name.js";

type Call = ServerDuplexStream<PublishStreamRequest, PublishStreamResponse>;

export interface PublishStreamParts extends StreamServing {
  tenant: string;
  find: FindStream;
  epochs: Epochs;
  budget: PendingBudget;
  lastPosition(of: { tenant: string; stream: string; source: string }): Promise<number>;
}

const rpc = "millrace.message.v1.PublishService/PublishStream";

/**
 * One connection: Open, then messages. It ends when the client ends it and all is settled, or at the first
 * error.
 */
export const publishStream =
  (parts: PublishStreamParts): handleBidiStreamingCall<PublishStreamRequest, PublishStreamResponse> =>
  (call) => {
    inServerSpan(call.metadata, rpc, () => serve(parts, call)).then(
      () => call.end(),
      (caught: unknown) => {
        if (!call.cancelled) call.emit("error", statusOf(caught, rpc, parts.log));
      },
    );
  };

async function serve(parts: PublishStreamParts, call: Call): Promise<void> {
  const ended = new AbortController();
  call.on("cancelled", () => ended.abort(new CodedError("canceled", "the caller has gone")));
  let opened: Opened | undefined;
  try {
    await eachRequest(call, ended.signal, async (received) => {
      const request = decoded(received);
      if (opened === undefined) {
        opened = await open(parts, call, { request, ended });
        return;
      }
      if (request.kind?.$case !== "messages") throw unexpected("messages");
      opened.session.take(request.kind.value);
      await room(parts.budget, opened.session, ended.signal);
    });
    await opened?.session.settled();
  } finally {
    opened?.close();
  }
}

interface Opened {
  session: PublishSession;
  close(): void;
}

async function open(
  parts: PublishStreamParts,
  call: Call,
  { request, ended }: { request: PublishStreamRequest; ended: AbortController },
): Promise<Opened> {
  if (request.kind?.$case !== "open") throw unexpected("open");
  const { tenant, find, openCalls, epochs, clock } = parts;
  const { stream: name, epoch: epochName } = request.kind.value;
  const stream = await requireStream(find, { tenant, name }, "open.stream");
  checkActive(stream);
  checkEpoch(epochName);
  const of = { tenant, stream: name };
  const source = epochSource(of, stream.createdMs, epochName);
  const openCall = openCalls.open(name);
  const end = (reason: unknown): void => ended.abort(reason);
  openCall.signal.addEventListener("abort", () => end(openCall.signal.reason), { once: true });
  try {
    const epoch = await epochs.open(of, source, end);
    const acceptedBelow = Math.max(epoch.acknowledgedBelow, await parts.lastPosition({ ...of, source }));
    const session = createPublishSession({
      acceptedBelow,
      check: (message) => toRow(message, stream, clock.now()),
      add: (addition) => epoch.source.add(addition, closingOf(addition.row, stream)),
      respond: (response) => {
        if (!call.cancelled && !ended.signal.aborted) call.write(response);
      },
    });
    call.write({ acknowledgedBelow: acceptedBelow, credits: creditsMax, rejections: [] });
    const close = (): void => {
      openCall.close();
      epoch.close(session.acknowledgedBelow);
    };
    return { session, close };
  } catch (caught) {
    openCall.close();
    throw caught;
  }
}

/**
 * Reading goes on when the client has credits left and the process has room: until then its frames stay with
 * it.
 */
async function room(budget: PendingBudget, session: PublishSession, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && session.isFull()) await session.progress();
  while (!signal.aborted && !budget.hasRoom()) await budget.change(signal);
}

function unexpected(wanted: string): CodedError {
  return new CodedError("invalid_argument", `publish stream: ${wanted} is missing`, {
    field: "kind",
    remedy: "Send open once, first, then messages.",
  });
}
