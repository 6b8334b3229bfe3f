import { CodedError } from "@millrace/errors";

export interface DownloadLimits {
  /** Gives up after this long without a byte, in milliseconds. */
  idleMs: number;
  bytesMax: number;
  signal?: AbortSignal;
}

/**
 * The bytes behind `url`. `deadline_exceeded` after silence, `unavailable` when the host cannot or will not
 * serve.
 */
export async function download(url: string, limits: DownloadLimits): Promise<Uint8Array> {
  const abort = new AbortController();
  const cancel = () => abort.abort(new CodedError("canceled", `download ${url}: interrupted`));
  const giveUp = () => {
    const seconds = Math.max(1, Math.round(limits.idleMs / 1000));
    abort.abort(new CodedError("deadline_exceeded", `download ${url}: no byte came for ${seconds} s`));
  };
  const timer = setTimeout(giveUp, limits.idleMs);
  limits.signal?.addEventListener("abort", cancel, { once: true });
  if (limits.signal?.aborted) cancel();
  try {
    const response = await fetch(url, { signal: abort.signal });
    if (!response.ok || response.body === null) {
      throw new CodedError("unavailable", `download ${url}: the host answered ${response.status}`);
    }
    return await collect(response.body, { url, bytesMax: limits.bytesMax, onBytes: () => timer.refresh() });
  } catch (caught) {
    throw explain(caught, { url, reason: abort.signal.reason });
  } finally {
    clearTimeout(timer);
    limits.signal?.removeEventListener("abort", cancel);
    abort.abort();
  }
}

async function collect(
  body: AsyncIterable<Uint8Array>,
  part: { url: string; bytesMax: number; onBytes: () => void },
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const bytesOfPart of body) {
    part.onBytes();
    bytes += bytesOfPart.length;
    if (bytes > part.bytesMax) {
      throw new CodedError("data_loss", `download ${part.url}: it is larger than ${part.bytesMax} bytes`);
    }
    parts.push(bytesOfPart);
  }
  return Buffer.concat(parts);
}

/** fetch says only "fetch failed"; the reason lies in its cause. */
function explain(caught: unknown, about: { url: string; reason: unknown }): CodedError {
  if (about.reason instanceof CodedError) return about.reason;
  if (caught instanceof CodedError) return caught;
  const cause = caught instanceof Error && caught.cause instanceof Error ? caught.cause : caught;
  const what = cause instanceof Error ? cause.message : String(cause);
  return new CodedError("unavailable", `download ${about.url}: ${what}`, { cause: caught });
}
