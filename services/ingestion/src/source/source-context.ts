import type { OpenBatch } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import type { Fence } from "@millrace/proto/buffer";
import type { Source } from "@millrace/proto/source";
import type { Stream } from "@millrace/proto/stream";
import type { Lease } from "../lease/source-leases.js";
import type { Rejected, SourceContext } from "./source-reader.js";

export interface ContextParts {
  lastPosition(of: {
    tenant: string;
    stream: string;
    source: string;
    from: number;
    fence: Fence | undefined;
  }): Promise<number>;
  append(batch: OpenBatch, of: { stream: Stream; fence: Fence | undefined }): Promise<void>;
  reject(letter: Rejected, fence: Fence | undefined): Promise<void>;
  /** Has buffer take what a replica wrote that is silent: its source must not resume before that. */
  endSegmentsOf(instance: string): Promise<void>;
}

export interface ContextOf {
  tenant: string;
  source: Source;
  stream: Stream;
  /** Undefined: of a kind that every replica reads. */
  lease: Lease | undefined;
}

export type OpenContext = (of: ContextOf) => SourceContext;

/** The ways to buffer of one reader. Under a lease that has ended nothing leaves by them. */
export const openContext =
  (parts: ContextParts): OpenContext =>
  ({ tenant, source, stream, lease }) => {
    const fence = lease === undefined ? undefined : { source: source.id, epoch: lease.epoch };
    const under = async <T>(send: () => Promise<T>): Promise<T> => {
      if (lease !== undefined && !lease.isValid()) throw ended(undefined);
      try {
        return await send();
      } catch (caught) {
        throw CodedError.from(caught).field === "fence" ? ended(caught) : caught;
      }
    };
    let segmentsEnded: Promise<void> | undefined;
    const endSegments = async (): Promise<void> => {
      if (lease?.silentHolder === undefined) return;
      segmentsEnded ??= parts.endSegmentsOf(lease.silentHolder);
      await segmentsEnded.catch((caught: unknown) => {
        segmentsEnded = undefined;
        throw caught;
      });
    };
    return {
      tenant,
      source,
      stream,
      lastPosition: (key, from = 0) =>
        under(async () => {
          await endSegments();
          return parts.lastPosition({ tenant, stream: stream.name, source: key, from, fence });
        }),
      append: (batch) => under(() => parts.append(batch, { stream, fence })),
      reject: (letter) => under(() => parts.reject(letter, fence)),
    };
  };

/** Waiting cures it: the reader is closed as soon as this replica learns of the other one. */
function ended(cause: unknown): CodedError {
  const options = cause === undefined ? {} : { cause };
  return new CodedError("unavailable", "another replica may read this source now", options);
}
