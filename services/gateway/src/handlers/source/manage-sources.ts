import { CodedError } from "@millrace/errors";
import type { StreamRegistry, StreamStore } from "@millrace/messaging";
import type {
  AddSourceRequest,
  AddSourceResponse,
  PauseSourceRequest,
  RemoveSourceRequest,
  RemoveSourceResponse,
  Source,
} from "@millrace/proto/source";
import { requireSource } from "../../source/require-source.js";
import { completeSource } from "../../source/source-settings.js";
import { requireStream } from "../../stream/stream-name.js";

export interface SourceParts {
  tenant: string;
  store: StreamStore;
  registry: StreamRegistry;
}

/** A source that is there already stays as it is, paused or not. */
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
    if (there !== undefined) return { source: there };
    await store.putSource(tenant, source);
    return { source };
  };

export const removeSource =
  ({ tenant, store, registry }: SourceParts) =>
  async ({ stream, id }: RemoveSourceRequest): Promise<RemoveSourceResponse> => {
    await requireStream(registry.find, { tenant, name: stream });
    await requireSource(store, { tenant, stream, id, verb: "remove" });
    await store.removeSource(tenant, stream, id);
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
    return { source };
  };

export const pauseSource = setPaused(true);
export const resumeSource = setPaused(false);
