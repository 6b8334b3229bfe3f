import type { StreamRegistry, StreamStore } from "@millrace/messaging";
import type {
  GetStreamRequest,
  GetStreamResponse,
  ListStreamsRequest,
  ListStreamsResponse,
} from "@millrace/proto/stream";
import { pageOf } from "../../stream/page.js";
import { requireStream } from "../../stream/stream-name.js";

/** Reads the bucket itself, so that a stream is shown as it was last written. */
export const getStream =
  ({ tenant, store }: { tenant: string; store: StreamStore }) =>
  async ({ name }: GetStreamRequest): Promise<GetStreamResponse> => {
    const find = async (): Promise<GetStreamResponse["stream"]> => (await store.get(tenant, name))?.stream;
    return { stream: await requireStream(find, { tenant, name }, "name") };
  };

/** Shows what the watch has told so far: milliseconds behind what was written. */
export const listStreams =
  ({ tenant, registry }: { tenant: string; registry: StreamRegistry }) =>
  async (request: ListStreamsRequest): Promise<ListStreamsResponse> =>
    pageOf(registry.list(tenant), request);
