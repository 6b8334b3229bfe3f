import type { DeadLetter } from "@millrace/proto/batch";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { present } from "@millrace/errors";
import {
  AppendResponse,
  BufferServiceClient,
  BufferServiceService,
  Fence,
  type LastPositionRequest,
  Sender,
  Side,
} from "@millrace/proto/buffer";
import {
  callUnary,
  channelCredentials,
  type Component,
  internalChannel,
  type Runtime,
  type TlsFiles,
  type Unary,
} from "@millrace/runtime";
import type { LeaseClient } from "@millrace/segments";

export interface BufferClient extends Component {
  /** A `Batch` as protobuf, its body inline or in a segment of this node that was leased. */
  appendEncoded(batch: Uint8Array, fence: Fence | undefined): Promise<AppendResponse>;
  reject(deadLetter: DeadLetter, fence: Fence | undefined): Promise<void>;
  lastPosition(of: LastPositionRequest): Promise<number>;
  /** Leases of a side for a writer of this name. */
  leasesOf(writer: string, side: "raw" | "clean"): LeaseClient;
  /** Ends what an earlier life of the writer held; buffer takes what it left. */
  endLeases(writer: string): Promise<void>;
}

const sender = new BinaryWriter()
  .uint32(2 << 3)
  .uint32(Sender.SENDER_INGESTION)
  .finish();

/** An AppendRequest around a batch that is encoded already. */
function requestOf(batch: Uint8Array, fence: Fence | undefined): Buffer {
  const field = new BinaryWriter()
    .uint32((1 << 3) | 2)
    .uint32(batch.length)
    .finish();
  return Buffer.concat([field, batch, sender, fenceField(fence)]);
}

function fenceField(fence: Fence | undefined): Uint8Array {
  if (fence === undefined) return new Uint8Array();
  return new BinaryWriter()
    .uint32((3 << 3) | 2)
    .bytes(Fence.encode(fence).finish())
    .finish();
}

const asIs = (bytes: Buffer): Buffer => bytes;

/** An append waits for a sync of the disk and of the broker; both may stall for seconds under load. */
const deadlineMs = 20_000;

export function createBufferClient(
  { address, tls }: { address: string; tls: TlsFiles | undefined },
  { clock, log }: Pick<Runtime, "clock" | "log">,
): BufferClient {
  const client = new BufferServiceClient(address, channelCredentials(tls, { log }), internalChannel);
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
    appendEncoded: (batch, fence) => callUnary(append, requestOf(batch, fence), call("append to buffer")),
    reject: async (deadLetter, fence) => {
      await callUnary(client.reject.bind(client), { deadLetter, fence }, call("reject to buffer"));
    },
    lastPosition: async (of) => {
      const answer = await callUnary(
        client.lastPosition.bind(client),
        of,
        call("ask buffer for the last position"),
      );
      return answer.position;
    },
    leasesOf: (writer, name) => leaseClient(client, call, { writer, name }),
    endLeases: async (writer) => {
      const request = { writer, lease: undefined, writtenTo: 0 };
      await callUnary(client.endLease.bind(client), request, call("end the leases of an earlier life"));
    },
  };
}

function leaseClient(
  client: BufferServiceClient,
  call: (attempted: string) => { attempted: string; deadlineMs: number; now: number },
  { writer, name }: { writer: string; name: "raw" | "clean" },
): LeaseClient {
  const side = name === "raw" ? Side.SIDE_RAW : Side.SIDE_CLEAN;
  return {
    grant: async () => {
      const { lease, ...granted } = await callUnary(
        client.leaseSegment.bind(client),
        { writer, side },
        call("lease a segment"),
      );
      const { segment, epoch } = present(lease, "the lease that was granted");
      return { segment, epoch, ...granted };
    },
    renew: async ({ segment, epoch }) => {
      const lease = { side, segment, epoch };
      await callUnary(client.renewLease.bind(client), { lease }, call("renew a lease"));
    },
    end: async ({ segment, epoch }, writtenTo) => {
      const lease = { side, segment, epoch };
      await callUnary(client.endLease.bind(client), { writer, lease, writtenTo }, call("end a lease"));
    },
  };
}
