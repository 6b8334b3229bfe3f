import type { DeadLetter } from "@millrace/proto/batch";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import {
  AppendResponse,
  BufferServiceClient,
  BufferServiceService,
  type LastPositionRequest,
} from "@millrace/proto/buffer";
import {
  callUnary,
  type Clock,
  type Component,
  insecure,
  internalChannel,
  type Unary,
} from "@millrace/runtime";

export interface BufferClient extends Component {
  /** A `Batch` as protobuf, its body inline or in a raw segment of this node. */
  appendEncoded(batch: Uint8Array): Promise<AppendResponse>;
  reject(deadLetter: DeadLetter): Promise<void>;
  lastPosition(of: LastPositionRequest): Promise<number>;
}

/** An AppendRequest around a batch that is encoded already. */
function requestOf(batch: Uint8Array): Buffer {
  const field = new BinaryWriter()
    .uint32((1 << 3) | 2)
    .uint32(batch.length)
    .finish();
  return Buffer.concat([field, batch]);
}

const asIs = (bytes: Buffer): Buffer => bytes;

/** An append waits for a sync of the disk and of the broker; both may stall for seconds under load. */
const deadlineMs = 20_000;

export function createBufferClient(address: string, clock: Clock): BufferClient {
  const client = new BufferServiceClient(address, insecure, internalChannel);
  const { path, responseDeserialize } = BufferServiceService.append;
  const append: Unary<Buffer, AppendResponse> = (request, metadata, options, done) =>
    client.makeUnaryRequest(
      path,
      asIs,
      responseDeserialize,
      request,
      metadata,
      options,
      (error, response) => {
        if (error !== null) done(error, AppendResponse.create());
        else done(null, response ?? AppendResponse.create());
      },
    );
  const call = (attempted: string) => ({ attempted, deadlineMs, now: clock.now() });
  return {
    name: "buffer-client",
    stop: async () => client.close(),
    appendEncoded: (batch) => callUnary(append, requestOf(batch), call("append to buffer")),
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
