import { TapServiceService } from "@millrace/proto/tap";
import { type StoredMessage, toStored } from "../receive/received-message.js";
import type { Channel } from "../rpc/channel.js";
import { MillraceError } from "../rpc/millrace-error.js";
import { checkText } from "../units/checks.js";

export interface TapOptions {
  /** What left it; `raw` is no such stage. Default: results. */
  stage?: "privacy" | "inference" | "results";
  signal?: AbortSignal;
}

export interface Tapped {
  messages: readonly StoredMessage[];
  /** Left out, as this reader was slow. */
  dropped: number;
  /** Above 1 MiB, or in a segment (batches above 64 KiB) that nobody could read. */
  unseen: number;
  /** In a segment that was deleted or used again before it was read. */
  gone: number;
}

/** The first one is empty: from then on all that passes is seen. */
export async function* tap(
  channel: Channel,
  stream: string,
  { stage = "results", signal }: TapOptions = {},
): AsyncGenerator<Tapped> {
  checkText(stream, "stream");
  const isAborted = (): boolean => signal?.aborted === true;
  if (isAborted()) return;
  const call = channel.readable(TapServiceService.tap, { stream, stage });
  const cancel = (): void => call.cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    for await (const { messages, dropped, unseen, gone } of call)
      yield { messages: messages.map(toStored), dropped, unseen, gone };
  } catch (caught) {
    if (!isAborted()) throw MillraceError.from(caught, `tap ${stream}`);
  } finally {
    signal?.removeEventListener("abort", cancel);
    call.cancel();
  }
}
