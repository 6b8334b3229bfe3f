import { CodedError } from "@millrace/errors";
import { exemptionEndMs, type StreamStore } from "@millrace/messaging";
import {
  type PauseStreamRequest,
  type Stream,
  StreamState,
  type UpdateStreamRequest,
} from "@millrace/proto/stream";
import type { UnaryCall } from "../../rpc/unary-call.js";
import { announceExemption, endsExemption, type ExemptionParts } from "../../stream/exemption.js";
import { requireStream } from "../../stream/stream-name.js";
import { completeSettings } from "../../stream/stream-settings.js";

export interface UpdateStreamParts extends ExemptionParts {
  tenant: string;
  store: StreamStore;
  sleep(ms: number): Promise<void>;
}

/**
 * Replaces the settings; state and creation time stay. Where that ends an exemption, all that is sent after
 * the answer is filtered.
 */
export const updateStream =
  (parts: UpdateStreamParts) =>
  async (request: UpdateStreamRequest, { metadata }: Asking): Promise<{ stream: Stream }> => {
    const settings = completeSettings(request.stream);
    const named = { name: settings.name, field: "stream.name", metadata };
    const stream = await change(parts, named, ({ state, createdMs, ordered }) => {
      if (ordered !== settings.ordered) {
        // What is under way would be overtaken by what comes after the change.
        throw new CodedError("invalid_argument", "update stream: stream.ordered can't be changed", {
          field: "stream.ordered",
          remedy: "Create another stream with it.",
        });
      }
      return { ...settings, state, createdMs };
    });
    return { stream };
  };

export const pauseStream =
  (parts: UpdateStreamParts) =>
  async ({ name }: PauseStreamRequest, { metadata }: Asking): Promise<{ stream: Stream }> => {
    const state = StreamState.STREAM_STATE_PAUSED;
    return {
      stream: await change(parts, { name, field: "name", metadata }, (stream) => ({ ...stream, state })),
    };
  };

export const resumeStream =
  (parts: UpdateStreamParts) =>
  async ({ name }: PauseStreamRequest, { metadata }: Asking): Promise<{ stream: Stream }> => {
    const state = StreamState.STREAM_STATE_ACTIVE;
    return {
      stream: await change(parts, { name, field: "name", metadata }, (stream) => ({ ...stream, state })),
    };
  };

/** Of the call: who asks. */
type Asking = Pick<UnaryCall, "metadata">;

/** A write that met another one is made again on top of it. */
const tries = 3;

async function change(
  parts: UpdateStreamParts,
  { name, field, metadata }: { name: string; field: string } & Asking,
  make: (stream: Stream) => Stream,
): Promise<Stream> {
  const { tenant, store, sleep } = parts;
  for (let tried = 1; ; tried++) {
    const known = await store.get(tenant, name);
    const before = await requireStream(async () => known?.stream, { tenant, name }, field);
    const after = make(before);
    const revision = known?.revision ?? 0;
    await announceExemption(parts, { tenant, before, after, revision, metadata });
    try {
      await store.put(tenant, after, revision);
      if (endsExemption({ before, after })) await sleep(exemptionEndMs);
      return after;
    } catch (caught) {
      if (CodedError.from(caught).code !== "aborted" || tried >= tries) throw caught;
    }
  }
}
