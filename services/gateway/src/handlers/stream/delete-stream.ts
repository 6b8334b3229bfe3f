import type { StreamRegistry, StreamStore, TriggerRegistry, TriggerStore } from "@millrace/messaging";
import type { DeleteStreamRequest, DeleteStreamResponse } from "@millrace/proto/stream";
import { requireStream } from "../../stream/stream-name.js";

export interface DeleteStreamParts {
  tenant: string;
  store: StreamStore;
  registry: StreamRegistry;
  triggers: Pick<TriggerRegistry, "list">;
  triggerStore: TriggerStore;
  /** Removes what the bus keeps of a stream. */
  purge(of: { tenant: string; stream: string }): Promise<void>;
  /** Its groups, and what is remembered of them. */
  removeGroups(stream: string): Promise<void>;
  sleep(ms: number): Promise<void>;
}

/**
 * Services hear of it within milliseconds, and write to the LEDGER at most 100 ms later what they held of it.
 */
const settleMs = 300;

export const deleteStream =
  ({ tenant, store, registry, triggers, triggerStore, purge, removeGroups, sleep }: DeleteStreamParts) =>
  async ({ name }: DeleteStreamRequest): Promise<DeleteStreamResponse> => {
    const find = async () => (await store.get(tenant, name))?.stream;
    await requireStream(find, { tenant, name }, "name");
    for (const source of registry.sources(tenant, name)) await store.removeSource(tenant, name, source.id);
    for (const { stream, id } of triggers.list(tenant))
      if (stream === name) await triggerStore.remove({ tenant, stream, id });
    await store.remove(tenant, name);
    await removeGroups(name);
    await sleep(settleMs);
    await purge({ tenant, stream: name });
    return {};
  };
