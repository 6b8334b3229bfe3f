import { CodedError } from "@millrace/errors";
import { keyedMessageId, limits, messageId, sourceKey, type StreamName } from "@millrace/envelope";
import { Lane } from "@millrace/proto/batch";
import type { StreamedMessage } from "@millrace/proto/message";
import { type Stream, StreamState } from "@millrace/proto/stream";
import { createKeyWindow } from "./key-window.js";
import { type CameBy, type Row, toRow } from "./outgoing-row.js";
import {
  type Closing,
  createPushSource,
  type PushSource,
  type PushSourceOptions,
  type Receipt,
} from "./push-source.js";

export interface Published extends Receipt {
  messageId: string;
}

/** Publishes single messages: those of one stream and lane that come together go in one batch. */
export interface Publisher {
  publish(
    to: Target,
    message: StreamedMessage,
    more: { idempotencyKey: string; trace: unknown; cameBy?: CameBy },
  ): Promise<Published>;
  /** Forgets a deleted stream. */
  forget(tenant: string, stream: string): void;
}

export interface Target {
  tenant: string;
  stream: Stream;
}

export interface PublisherOptions extends Omit<PushSourceOptions, "of" | "whenFull"> {
  /** Unlike that of any other process that ever was: the sources of this one count from 0. */
  epoch: string;
  now(): number;
  rememberedKeysMax: number;
}

/** In the high lane: what a batch costs in all services is worth about so much waiting (ADR 0026). */
export const lingerMs = { high: 5, batch: 50 };

export function closingOf(row: Row, stream: Stream): Closing {
  return {
    rowsMax: stream.batchSize,
    lingerMs: row.lane === Lane.LANE_HIGH ? lingerMs.high : lingerMs.batch,
  };
}

export function createPublisher(options: PublisherOptions): Publisher {
  // The numbers of a source count on for as long as the process lives, so it is never closed while its stream
  // is.
  const sources = new Map<string, PushSource>();
  const keys = createKeyWindow<Published>(options.rememberedKeysMax, options.now);

  const sourceOf = (of: StreamName, createdMs: number, lane: Lane): PushSource => {
    const name = `${of.tenant}/${of.stream}/${createdMs}/${lane}`;
    const known = sources.get(name);
    if (known !== undefined) return known;
    // A source a lane: a full batch lane holds up nobody in the high one.
    const source = sourceKey(of, "push", `${createdMs}/${options.epoch}/${lane}`);
    const made = createPushSource({ ...options, of: { ...of, source }, whenFull: "refuse" });
    sources.set(name, made);
    return made;
  };

  return {
    publish: async ({ tenant, stream }, message, { idempotencyKey, trace, cameBy }) => {
      checkActive(stream);
      checkKey(idempotencyKey);
      const of = { tenant, stream: stream.name };
      const row = toRow(message, stream, options.now(), cameBy);
      const send = async (id: string | undefined): Promise<Published> => {
        const source = sourceOf(of, stream.createdMs, row.lane);
        const receipt = await source.add({ row, id, trace }, closingOf(row, stream));
        return {
          ...receipt,
          messageId: id ?? messageId({ ...of, source: receipt.source }, receipt.position),
        };
      };
      if (idempotencyKey === "") return send(undefined);
      const key = `${tenant}/${stream.name}/${stream.createdMs}/${idempotencyKey}`;
      return keys.once(key, () =>
        send(keyedMessageId({ ...of, createdMs: stream.createdMs }, idempotencyKey)),
      );
    },
    forget: (tenant, stream) => {
      for (const name of sources.keys()) if (name.startsWith(`${tenant}/${stream}/`)) sources.delete(name);
    },
  };
}

/** Errors: `failed_precondition` for a paused stream. */
export function checkActive(stream: Stream): void {
  if (stream.state !== StreamState.STREAM_STATE_PAUSED) return;
  throw new CodedError("failed_precondition", `publish: stream ${stream.name} is paused`, {
    field: "stream",
    remedy: "Resume it with ResumeStream.",
  });
}

function checkKey(key: string): void {
  if (key.length <= limits.idempotencyKeyCharsMax && !/[\0-\x1f\x7f]/.test(key)) return;
  throw new CodedError("invalid_argument", "publish: that cannot be an idempotency key", {
    field: "idempotency_key",
    remedy: `Use at most ${limits.idempotencyKeyCharsMax} characters and no control characters.`,
  });
}
