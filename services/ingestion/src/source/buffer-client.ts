import type { Batch, DeadLetter } from "@millrace/proto/batch";
import { encodeAppendRequest } from "@millrace/envelope";
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
  append(batch: Batch): Promise<void>;
  reject(deadLetter: DeadLetter): Promise<void>;
  lastPosition(of: LastPositionRequest): Promise<number>;
}

const asIs = (bytes: Buffer): Buffer => bytes;

/** An append waits for a sync of the disk and of the broker; both may stall for seconds under load. */
const deadlineMs = 20_000;

export function createBufferClient(address: string, clock: Clock): BufferClient {
  const client = new BufferServiceClient(address, insecure, internalChannel);
  const { path, responseDeserialize } = BufferServiceService.append;
  const appendEncoded: Unary<Buffer, AppendResponse> = (request, metadata, options, done) =>
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
    append: async (batch) => {
      const body = batch.body?.$case === "inline" ? batch.body.value : new Uint8Array();
      await callUnary(appendEncoded, encodeAppendRequest(batch, body), call("append to buffer"));
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
