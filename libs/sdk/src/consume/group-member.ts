import { Settle, type ConsumeResponse, type Delivery, type Open } from "@millrace/proto/group";
import { createBackoff } from "../rpc/backoff.js";
import type { Environment, Logger } from "../rpc/environment.js";
import { isCurable, withSilenceLimit } from "../rpc/follow.js";
import { MillraceError } from "../rpc/millrace-error.js";
import { addOutcome, type Outcome } from "./outcome.js";
import type { GroupCall, GroupTransport } from "./transport.js";

/*
 * A member through its connections:
 *
 *   joining ──opened──► taking ──cut──► waiting (backoff) ──► joining
 *
 * What is worked on while it is cut is settled when it is delivered again, without being worked on again.
 */
export interface GroupMember {
  /** Opens, or opens anew with what is asked for now. */
  join(): void;
  /** Resolves when what is under way has ended and is told; nothing more begins. */
  stop(): Promise<void>;
}

export interface GroupMemberOptions {
  transport: GroupTransport;
  environment: Environment;
  logger: Logger;
  /** What to open with now. */
  open(): Open;
  ackWaitMs: number;
  work(delivery: Delivery): Promise<Outcome>;
  onOpen(): void;
  onGap(batches: number): void;
  /** It ended for good. */
  onEnd(error: unknown): void;
  signal: AbortSignal;
}

/** Outcomes that may not have been heard: a message that is delivered again soon is settled by them. */
const rememberedMax = 10_000;
/** A gateway that is well ends a call at once. */
const endMs = 2_000;

export function createGroupMember(options: GroupMemberOptions): GroupMember {
  const { environment, transport } = options;
  const stopping = new AbortController();
  const signal = AbortSignal.any([stopping.signal, options.signal]);
  /** By message id: the number that it is delivered under now. */
  const working = new Map<string, { item: number; ended: Promise<void> }>();
  const remembered = new Set<string>();
  let call: GroupCall | undefined;
  let settle = Settle.create();
  let isFlushing = false;
  let running: Promise<void> | undefined;

  const send = (): void => {
    if (!isFlushing) return;
    isFlushing = false;
    const next = settle;
    settle = Settle.create();
    call?.send(next);
  };
  const flush = (): void => {
    if (isFlushing) return;
    isFlushing = true;
    // What ends at the same time is told at once.
    queueMicrotask(send);
  };
  const tell = (item: number, outcome: Outcome): void => {
    addOutcome(settle, item, outcome);
    flush();
  };
  const take = (delivery: Delivery): void => {
    const id = delivery.message?.id ?? "";
    const known = working.get(id);
    if (known !== undefined) return void (known.item = delivery.item);
    if (remembered.has(id)) return tell(delivery.item, { kind: "done" });
    if (signal.aborted) return tell(delivery.item, { kind: "released" });
    const entry = { item: delivery.item, ended: Promise.resolve() };
    working.set(id, entry);
    entry.ended = options.work(delivery).then((outcome) => {
      working.delete(id);
      if (outcome.kind === "done") remember(remembered, id);
      tell(entry.item, outcome);
    });
  };
  const beat = async (over: AbortSignal): Promise<void> => {
    while (!over.aborted) {
      await environment.sleep(options.ackWaitMs / 3, over);
      if (over.aborted || working.size === 0) continue;
      call?.send({ ...Settle.create(), working: [...working.values()].map(({ item }) => item) });
    }
  };
  const onResponse = ({ opened, deliveries, gap }: ConsumeResponse): void => {
    if (opened !== undefined) options.onOpen();
    if (gap !== undefined) options.onGap(gap.batches);
    for (const delivery of deliveries) take(delivery);
  };
  const readOnce = async (): Promise<MillraceError> => {
    const over = new AbortController();
    const joined = transport.join(options.open());
    call = joined;
    const cancel = (): void => joined.cancel();
    options.signal.addEventListener("abort", cancel, { once: true });
    void beat(over.signal);
    try {
      for await (const response of withSilenceLimit(joined.responses, environment.silenceMaxMs)) {
        onResponse(response);
      }
      return new MillraceError("unavailable", "consume: the server ended the call");
    } catch (caught) {
      return MillraceError.from(caught, "consume");
    } finally {
      options.signal.removeEventListener("abort", cancel);
      over.abort();
      if (call === joined) call = undefined;
    }
  };
  const run = async (): Promise<void> => {
    const backoff = createBackoff(environment);
    while (!signal.aborted) {
      const startedAt = environment.now();
      const joinsAgain = rejoin;
      const cut = await readOnce();
      if (signal.aborted) return;
      if (joinsAgain !== rejoin) continue;
      if (!isCurable(cut)) return options.onEnd(cut);
      if (environment.now() - startedAt > environment.backoffMaxMs) backoff.reset();
      options.logger.info({ code: cut.code, reason: cut.message }, "group is cut off, connecting again");
      await environment.sleep(Math.max(backoff.next(), cut.retryAfterMs ?? 0), signal);
    }
  };
  let rejoin = 0;
  return {
    join: () => {
      rejoin += 1;
      if (running === undefined) running = run();
      else call?.end();
    },
    stop: async () => {
      stopping.abort();
      await Promise.all([...working.values()].map(({ ended }) => ended));
      send();
      call?.end();
      const over = new AbortController();
      await Promise.race([running, environment.sleep(endMs, over.signal)]);
      over.abort();
      call?.cancel();
    },
  };
}

function remember(ids: Set<string>, id: string): void {
  ids.add(id);
  for (const oldest of ids) {
    if (ids.size <= rememberedMax) return;
    ids.delete(oldest);
  }
}
