import type { ServerDuplexStream, ServerWritableStream } from "@grpc/grpc-js";
import type { WatchEventsRequest, WatchEventsResponse } from "@millrace/proto/event";
import {
  GapReason,
  type PublishStreamRequest,
  type PublishStreamRequest_Messages,
  type PublishStreamResponse,
  type Rejection,
  StartAt,
  type SubscribeRequest,
  type SubscribeResponse,
} from "@millrace/proto/message";
import type { Served } from "./state.js";

/** Acknowledges what came on this connection only, so that a refusal whose answer was lost is given again. */
export function publishStream(
  served: Served,
  call: ServerDuplexStream<PublishStreamRequest, PublishStreamResponse>,
): void {
  const { state, changed, onChange } = served;
  const failure = takeFailure(served, "publishStream");
  if (failure !== undefined) {
    call.emit("error", failure);
    return;
  }
  let epoch = "";
  let receivedBelow = 0;
  let acknowledgedBelow = 0;
  let rejections: Rejection[] = [];
  const acknowledge = (): void => {
    if (state.holdsAcks || receivedBelow === acknowledgedBelow) return;
    acknowledgedBelow = receivedBelow;
    call.write({ acknowledgedBelow, credits: state.credits, rejections: rejections.splice(0) });
  };
  call.on("data", ({ kind }: PublishStreamRequest) => {
    if (kind?.$case === "open") {
      epoch = kind.value.epoch;
      state.epochs.push(epoch);
      call.write({ acknowledgedBelow: 0, credits: state.credits, rejections: [] });
    } else if (kind?.$case === "messages") {
      const { firstSequence, messages } = kind.value;
      rejections.push(...accept(served, epoch, kind.value));
      if (acknowledgedBelow === 0) acknowledgedBelow = firstSequence;
      receivedBelow = firstSequence + messages.length;
      state.unacknowledgedMost = Math.max(state.unacknowledgedMost, receivedBelow - acknowledgedBelow);
      acknowledge();
    }
    changed();
  });
  const stop = onChange(acknowledge);
  call.on("end", () => call.end());
  call.on("close", stop);
  call.on("error", () => undefined);
}

function accept({ state }: Served, epoch: string, frame: PublishStreamRequest_Messages): Rejection[] {
  state.frames.push(frame.messages.length);
  const rejections: Rejection[] = [];
  for (const [index, message] of frame.messages.entries()) {
    const sequence = frame.firstSequence + index;
    const refused = state.refuse(message);
    const name = `${epoch}/${sequence}`;
    if (refused !== undefined) rejections.push({ ...refused, sequence });
    else if (state.accepted.has(name)) state.duplicates += 1;
    else state.accepted.set(name, message);
  }
  return rejections;
}

/** Tokens are `r<batch>`: everything below that batch was read. */
export function subscribe(
  served: Served,
  call: ServerWritableStream<SubscribeRequest, SubscribeResponse>,
): void {
  const { state } = served;
  const { resumeToken, startAt, sourceIds } = call.request;
  const earliest = startAt === StartAt.START_AT_EARLIEST ? 0 : state.results.length;
  let next = resumeToken === "" ? earliest : Number(resumeToken.slice(1));
  state.resumedFrom.push(resumeToken);
  serve(served, call, {
    method: "subscribe",
    heartbeat: () => ({ messages: [], resumeToken: `r${next}`, gap: undefined, places: [] }),
    pull: () => {
      if (next >= state.results.length) return undefined;
      const lost = Math.max(state.resultsFrom - next, 0);
      next += lost;
      const batch = state.results[next] ?? [];
      next += 1;
      const messages = batch.filter(({ sourceId }) => sourceIds.length === 0 || sourceIds.includes(sourceId));
      return {
        messages,
        resumeToken: `r${next}`,
        gap: lost === 0 ? undefined : { batches: lost, messages: 0, reason: GapReason.GAP_REASON_DISCARDED },
        places: [],
      };
    },
  });
}

/** Tokens are `e<event>`: everything below that event was read. */
export function watchEvents(
  served: Served,
  call: ServerWritableStream<WatchEventsRequest, WatchEventsResponse>,
): void {
  const { state } = served;
  const { resumeToken, types } = call.request;
  let next = resumeToken === "" ? state.events.length : Number(resumeToken.slice(1));
  serve(served, call, {
    method: "watchEvents",
    heartbeat: () => ({ events: [], resumeToken: `e${next}` }),
    pull: () => {
      if (next >= state.events.length) return undefined;
      const events = state.events.slice(next).filter(({ type }) => types.includes(type));
      next = state.events.length;
      return { events, resumeToken: `e${next}` };
    },
  });
}

interface Source<Response> {
  method: string;
  heartbeat: () => Response;
  pull: () => Response | undefined;
}

function serve<Request, Response>(
  served: Served,
  call: ServerWritableStream<Request, Response>,
  { method, heartbeat, pull }: Source<Response>,
): void {
  const { state, changed, onChange } = served;
  state.calls.push({ method, request: call.request });
  const failure = takeFailure(served, method);
  if (failure !== undefined) {
    call.emit("error", failure);
    changed();
    return;
  }
  if (!state.isSilent) call.write(heartbeat());
  const stop = onChange(() => {
    if (state.isSilent || call.cancelled || call.destroyed) return;
    for (let response = pull(); response !== undefined; response = pull()) call.write(response);
  });
  call.on("cancelled", () => {
    stop();
    changed();
  });
  call.on("error", () => undefined);
  changed();
}

export function takeFailure({ state }: Served, method: string): Error | undefined {
  const at = state.failures.findIndex((failure) => failure.method === method);
  return at < 0 ? undefined : state.failures.splice(at, 1)[0]?.error;
}
