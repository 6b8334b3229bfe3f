import type { Batch, DeadLetter } from "@millrace/proto/batch";
import { BufferServiceClient, type LastPositionRequest } from "@millrace/proto/buffer";
import { callUnary, type Clock, type Component, insecure, internalChannel } from "@millrace/runtime";

export interface BufferClient extends Component {
  append(batch: Batch): Promise<void>;
  reject(deadLetter: DeadLetter): Promise<void>;
  lastPosition(of: LastPositionRequest): Promise<number>;
}

/** An append waits for a sync of the disk and of the broker; both may stall for seconds under load. */
const deadlineMs = 20_000;

export function createBufferClient(address: string, clock: Clock): BufferClient {
  const client = new BufferServiceClient(address, insecure, internalChannel);
  const call = (attempted: string) => ({ attempted, deadlineMs, now: clock.now() });
  return {
    name: "buffer-client",
    stop: async () => client.close(),
    append: async (batch) => {
      await callUnary(client.append.bind(client), { batch }, call("append to buffer"));
    },
    reject: async (deadLetter) => {
      await callUnary(client.reject.bind(client), { deadLetter }, call("reject to buffer"));
    },
    lastPosition: async (of) => {
      const answer = await callUnary(
        client.lastPosition.bind(client),
        of,
        call("ask buffer for the last position"),
      );
      return answer.position;
    },
  };
}
