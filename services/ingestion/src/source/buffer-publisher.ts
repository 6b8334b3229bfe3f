import type { Outgoing, Published, Publisher } from "@millrace/messaging";
import type { BufferClient } from "./buffer-client.js";

/** Publishes through buffer instead of to the bus: buffer frames, counts and puts batches in their lane. */
export function createBufferPublisher(buffer: Pick<BufferClient, "appendEncoded">): Publisher {
  return {
    publish: async ({ data }: Outgoing): Promise<Published> => {
      const { jetStream, seq } = await buffer.appendEncoded(data);
      return { jetStream, seq, duplicate: false };
    },
  };
}
