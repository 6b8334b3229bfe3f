import { CodedError } from "@millrace/errors";
import type { StreamRegistry, StreamStore } from "@millrace/messaging";
import {
  type AddSourceRequest,
  type AddSourceResponse,
  type PauseSourceRequest,
  type RemoveSourceRequest,
  type RemoveSourceResponse,
  Source,
} from "@millrace/proto/source";
import { requireSource } from "../../source/require-source.js";
import { completeSource, shownSource } from "../../source/source-settings.js";
import { requireStream } from "../../stream/stream-name.js";

export interface SourceParts {
  tenant: string;
  store: StreamStore;
  registry: StreamRegistry;
  purgeSource(of: { tenant: string; stream: string; id: string }): Promise<void>;
}

/**
 * A source that is there already stays as it is, paused or not; credentials that came anew replace those that
 * it had.
 */
export const addSource =
  ({ tenant, store, registry }: SourceParts) =>
  async (request: AddSourceRequest): Promise<AddSourceResponse> => {
    if (request.source === undefined) {
      const remedy = "Give the stream and the settings of a source.";
      throw new CodedError("invalid_argument", "add source: source is missing", { field: "source", remedy });
    }
    await requireStream(registry.find, { tenant, name: request.source.stream }, "source.stream");
    const source = completeSource(tenant, request.source);
    const there = await store.getSource(tenant, source.stream, source.id);
    if (there !== undefined) source.paused = there.paused;
    if (there === undefined || !isSame(there, source)) await store.putSource(tenant, source);
    return { source: shownSource(source) };
  };

/** Encoded: a map of headers has no order of its own, but is written as it was given. */
const isSame = (one: Source, other: Source): boolean =>
  Buffer.compare(Source.encode(one).finish(), Source.encode(other).finish()) === 0;

export const removeSource =
  ({ tenant, store, registry, purgeSource }: SourceParts) =>
  async ({ stream, id }: RemoveSourceRequest): Promise<RemoveSourceResponse> => {
    await requireStream(registry.find, { tenant, name: stream });
    await requireSource(store, { tenant, stream, id, verb: "remove" });
    await store.removeSource(tenant, stream, id);
    await purgeSource({ tenant, stream, id });
    return {};
  };

/** Whether it pauses or goes on; twice the same is once. */
const setPaused =
  (paused: boolean) =>
  ({ tenant, store, registry }: SourceParts) =>
  async ({ stream, id }: PauseSourceRequest): Promise<{ source: Source }> => {
    await requireStream(registry.find, { tenant, name: stream });
    const there = await requireSource(store, { tenant, stream, id, verb: paused ? "pause" : "resume" });
    const source = { ...there, paused };
    await store.putSource(tenant, source);
    return { source: shownSource(source) };
  };

export const pauseSource = setPaused(true);
export const resumeSource = setPaused(false);
