import { CodedError } from "@millrace/errors";
import type { StreamStore } from "@millrace/messaging";
import type { CreateStreamRequest, CreateStreamResponse, Stream } from "@millrace/proto/stream";
import type { UnaryCall } from "../../rpc/unary-call.js";
import { announceExemption, type ExemptionParts } from "../../stream/exemption.js";
import { completeSettings, isSameSettings } from "../../stream/stream-settings.js";

export interface CreateStreamParts extends ExemptionParts {
  tenant: string;
  store: StreamStore;
  revisionForNew(tenant: string, name: string): Promise<number>;
}

/** Two clients may create the same stream at once: the later one sees what the first one made. */
const tries = 3;

export const createStream =
  (parts: CreateStreamParts) =>
  async (
    request: CreateStreamRequest,
    { metadata }: Pick<UnaryCall, "metadata">,
  ): Promise<CreateStreamResponse> => {
    const { tenant, store, revisionForNew, now } = parts;
    const settings = completeSettings(request.stream);
    for (let tried = 1; ; tried++) {
      const known = await store.get(tenant, settings.name);
      if (known !== undefined) return existing(known.stream, settings);
      const stream = { ...settings, createdMs: Math.floor(now()) };
      const revision = await revisionForNew(tenant, settings.name);
      await announceExemption(parts, { tenant, before: undefined, after: stream, revision, metadata });
      try {
        await store.put(tenant, stream, revision);
        return { stream, created: true };
      } catch (caught) {
        if (CodedError.from(caught).code !== "aborted" || tried >= tries) throw caught;
      }
    }
  };

function existing(stream: Stream, settings: Stream): CreateStreamResponse {
  if (isSameSettings(stream, settings)) return { stream, created: false };
  throw new CodedError("already_exists", `create stream ${stream.name}: it exists with other settings`, {
    field: "stream",
    remedy: "Change it with UpdateStream, or choose another name.",
  });
}
