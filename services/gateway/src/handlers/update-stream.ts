import { CodedError } from "@millrace/errors";
import type { StreamStore } from "@millrace/messaging";
import {
  type PauseStreamRequest,
  type Stream,
  StreamState,
  type UpdateStreamRequest,
} from "@millrace/proto/stream";
import { requireStream } from "../stream/stream-name.js";
import { completeSettings } from "../stream/stream-settings.js";

interface Parts {
  tenant: string;
  store: StreamStore;
}

/** Replaces the settings; state and creation time stay. */
export const updateStream =
  (parts: Parts) =>
  async (request: UpdateStreamRequest): Promise<{ stream: Stream }> => {
    const settings = completeSettings(request.stream);
    const named = { name: settings.name, field: "stream.name" };
    const stream = await change(parts, named, ({ state, createdMs }) => ({ ...settings, state, createdMs }));
    return { stream };
  };

export const pauseStream =
  (parts: Parts) =>
  async ({ name }: PauseStreamRequest): Promise<{ stream: Stream }> => {
    const state = StreamState.STREAM_STATE_PAUSED;
    return { stream: await change(parts, { name, field: "name" }, (stream) => ({ ...stream, state })) };
  };

export const resumeStream =
  (parts: Parts) =>
  async ({ name }: PauseStreamRequest): Promise<{ stream: Stream }> => {
    const state = StreamState.STREAM_STATE_ACTIVE;
    return { stream: await change(parts, { name, field: "name" }, (stream) => ({ ...stream, state })) };
  };

/** A write that met another one is made again on top of it. */
const tries = 3;

async function change(
  { tenant, store }: Parts,
  { name, field }: { name: string; field: string },
  make: (stream: Stream) => Stream,
): Promise<Stream> {
  for (let tried = 1; ; tried++) {
    const known = await store.get(tenant, name);
    const stream = make(await requireStream(async () => known?.stream, { tenant, name }, field));
    try {
      await store.put(tenant, stream, known?.revision ?? 0);
      return stream;
    } catch (caught) {
      if (CodedError.from(caught).code !== "aborted" || tried >= tries) throw caught;
    }
  }
}
