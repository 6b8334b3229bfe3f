import type { handleBidiStreamingCall, ServerDuplexStream } from "@grpc/grpc-js";
import { CodedError } from "@millrace/errors";
import type { PublishStreamRequest, PublishStreamResponse } from "@millrace/proto/message";
import type { Stream } from "@millrace/proto/stream";
import { decoded } from "@millrace/runtime";
import { checkEpoch, epochSource, type Epochs } from "../../publish/epochs.js";
import { toRow } from "../../publish/outgoing-row.js";
import type { PendingBudget } from "../../publish/pending-budget.js";
import {
  createPublishSession,
  creditsMax,
  type PublishSession,
  roomFor,
} from "../../publish/publish-session.js";
import { checkActive, closingOf } from "../../publish/publisher.js";
import { eachRequest, serveDuplex } from "../../rpc/duplex-call.js";
import type { StreamServing } from "../../rpc/server-stream.js";
import { type FindStream, requireStream } from "../../stream/stream-name.js";

type Call = ServerDuplexStream<PublishStreamRequest, PublishStreamResponse>;

export interface PublishStreamParts extends StreamServing {
  tenant: string;
  find: FindStream;
  epochs: Epochs;
  budget: PendingBudget;
  lastPosition(of: { tenant: string; stream: string; source: string }): Promise<number>;
}

const rpc = "millrace.message.v1.PublishService/PublishStream";

/** A connection: Open, then messages. It ends when the client ends it and all is settled, or in an error. */
export const publishStream = (
  parts: PublishStreamParts,
): handleBidiStreamingCall<PublishStreamRequest, PublishStreamResponse> =>
  serveDuplex(rpc, parts, (call) => serve(parts, call));

async function serve(parts: PublishStreamParts, call: Call): Promise<void> {
  const ended = new AbortController();
  call.on("cancelled", () => ended.abort(new CodedError("canceled", "the caller has gone")));
  let opened: Opened | undefined;
  try {
    await eachRequest(call, ended.signal, async (received) => {
      const request = decoded(received);
      if (opened !== undefined) return opened.take(request);
      opened = await open(parts, call, { request, ended });
      // The caller may have gone meanwhile; then nobody else closes it.
      if (ended.signal.aborted) opened.close();
    });
    await opened?.session.settled();
  } finally {
    opened?.close();
  }
}

interface Opened {
  session: PublishSession;
  take(request: PublishStreamRequest): Promise<void>;
  close(): void;
}

async function open(
  parts: PublishStreamParts,
  call: Call,
  { request, ended }: { request: PublishStreamRequest; ended: AbortController },
): Promise<Opened> {
  if (request.kind?.$case !== "open") throw unexpected("open");
  const { tenant, openCalls, epochs, budget, clock } = parts;
  const { stream: name, epoch: epochName } = request.kind.value;
  checkEpoch(epochName);
  let stream = await activeStream(parts, name);
  const of = { tenant, stream: name };
  const source = epochSource(of, stream.createdMs, epochName);
  const openCall = openCalls.open(name);
  openCall.signal.addEventListener("abort", () => ended.abort(openCall.signal.reason), { once: true });
  let close = openCall.close;
  try {
    const epoch = await epochs.open(of, source, (reason) => ended.abort(reason));
    let acknowledgedBelow = (): number => epoch.acknowledgedBelow;
    close = () => {
      openCall.close();
      epoch.close(acknowledgedBelow);
    };
    const acceptedBelow = Math.max(epoch.acknowledgedBelow, await parts.lastPosition({ ...of, source }));
    const session = createPublishSession({
      acceptedBelow,
      check: (message) => toRow(message, stream, clock.now()),
      offer: (addition, settled) => epoch.source.offer(addition, closingOf(addition.row, stream), settled),
      respond: (response) => {
        if (!call.cancelled && !ended.signal.aborted) call.write(response);
      },
    });
    acknowledgedBelow = session.acknowledgedBelow;
    call.write({ acknowledgedBelow: acceptedBelow, credits: creditsMax, rejections: [] });
    const take = async (next: PublishStreamRequest): Promise<void> => {
      if (next.kind?.$case !== "messages") throw unexpected("messages");
      // Settings and state as they are now, not as they were when the call began.
      stream = await activeStream(parts, name);
      session.take(next.kind.value);
      await roomFor(session, { budget, of }, ended.signal);
    };
    return { session, take, close };
  } catch (caught) {
    close();
    throw caught;
  }
}

async function activeStream({ tenant, find }: PublishStreamParts, name: string): Promise<Stream> {
  const stream = await requireStream(find, { tenant, name }, "open.stream");
  checkActive(stream);
  return stream;
}

function unexpected(wanted: string): CodedError {
  return new CodedError("invalid_argument", `publish stream: ${wanted} is missing`, {
    field: "kind",
    remedy: "Send open once, first, then messages.",
  });
}
