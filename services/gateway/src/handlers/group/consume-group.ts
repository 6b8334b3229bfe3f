import type { handleBidiStreamingCall, ServerDuplexStream } from "@grpc/grpc-js";
import { CodedError } from "@millrace/errors";
import type { ConsumeRequest, ConsumeResponse, Open } from "@millrace/proto/group";
import { decoded } from "@millrace/runtime";
import type { GroupHubs, Membership } from "../../group/group-hubs.js";
import { type EnsureParts, ensureGroup } from "../../group/ensure-group.js";
import { checkOpen } from "../../group/group-settings.js";
import { eachRequest, serveDuplex } from "../../rpc/duplex-call.js";
import type { StreamServing } from "../../rpc/server-stream.js";
import { type FindStream, requireStream } from "../../stream/stream-name.js";
import { heartbeatMs } from "../../subscribe/follow-tail.js";

type Call = ServerDuplexStream<ConsumeRequest, ConsumeResponse>;

export interface ConsumeParts extends StreamServing, Omit<EnsureParts, "clock"> {
  tenant: string;
  find: FindStream;
  hubs: GroupHubs;
}

const rpc = "millrace.group.v1.GroupService/Consume";
/** How long after the end of what a caller sends it may still be told that it was cut. */
const cutTellingMs = 50;

/** A member's call: Open, then what became of each message. It ends with what it has in hand given back. */
export const consumeGroup = (parts: ConsumeParts): handleBidiStreamingCall<ConsumeRequest, ConsumeResponse> =>
  serveDuplex(rpc, parts, (call) => serve(parts, call));

async function serve(parts: ConsumeParts, call: Call): Promise<void> {
  const ended = new AbortController();
  let isCut = false;
  call.on("cancelled", () => {
    isCut = true;
    ended.abort(new CodedError("canceled", "the caller has gone"));
  });
  let opened: Opened | undefined;
  try {
    await eachRequest(call, ended.signal, async (received) => {
      const { kind } = decoded(received);
      if (opened !== undefined) {
        if (kind?.$case !== "settle") throw unexpected("settle");
        opened.membership.member.settle(kind.value, parts.clock.now());
        return opened.membership.changed();
      }
      if (kind?.$case !== "open") throw unexpected("open");
      opened = await open(parts, call, { asked: kind.value, ended });
    });
  } finally {
    opened?.close();
    // The end of what it sends may be told before the cut, on a busy machine well before.
    await parts.clock.sleep(cutTellingMs);
    // A gateway that stops, or a group that is deleted, cuts its calls itself: nothing of theirs failed.
    await opened?.membership.leave({ isLost: isCut || call.cancelled });
  }
}

interface Opened {
  membership: Membership;
  close(): void;
}

async function open(
  parts: ConsumeParts,
  call: Call,
  { asked, ended }: { asked: Open; ended: AbortController },
): Promise<Opened> {
  const { tenant, openCalls, hubs, clock } = parts;
  const stream = await requireStream(parts.find, { tenant, name: asked.stream }, "open.stream");
  const settings = checkOpen(asked, stream);
  const of = { tenant, stream: stream.name, group: asked.group };
  const openCall = openCalls.open(stream.name);
  openCall.signal.addEventListener("abort", () => ended.abort(openCall.signal.reason), { once: true });
  try {
    const group = await ensureGroup(parts, of, { asked, stream });
    if (ended.signal.aborted) throw ended.signal.reason;
    call.write({ opened: group, deliveries: [], gap: undefined });
    let saidAt = clock.monotonic();
    const write = (response: ConsumeResponse): boolean => {
      saidAt = clock.monotonic();
      return call.cancelled || ended.signal.aborted ? false : call.write(response);
    };
    const membership = hubs.join(of, group, {
      settings,
      write,
      isWritable: () => !call.cancelled && !ended.signal.aborted && !call.writableNeedDrain,
      end: (reason) => ended.abort(reason),
    });
    call.on("drain", membership.changed);
    const beating = new AbortController();
    void beat(parts, beating.signal, () => {
      if (clock.monotonic() - saidAt >= heartbeatMs - 100) membership.member.write({});
    });
    const close = (): void => {
      beating.abort();
      openCall.close();
    };
    return { membership, close };
  } catch (caught) {
    openCall.close();
    throw caught;
  }
}

async function beat({ clock }: ConsumeParts, signal: AbortSignal, onBeat: () => void): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(heartbeatMs, signal);
    if (!signal.aborted) onBeat();
  }
}

function unexpected(wanted: string): CodedError {
  return new CodedError("invalid_argument", `consume: ${wanted} is missing`, {
    field: "kind",
    remedy: "Send open once, first, then settle.",
  });
}
