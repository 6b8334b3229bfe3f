import type { ServerWritableStream } from "@grpc/grpc-js";
import { CodedError } from "@millrace/errors";
import type { ReadRangeRequest, ReadRangeResponse } from "@millrace/proto/buffer";
import { toStatus } from "@millrace/runtime";
import type { BodyReader } from "@millrace/segments";

/** Few enough messages, each small enough that two calls take turns. */
const pieceBytes = 512 * 1024;

/** Hands the bytes of a range of this node to a reader on another one, as fast as that takes them. */
export const readRange =
  ({ reader, node }: { reader: Pick<BodyReader, "read">; node: string }) =>
  async (call: ServerWritableStream<ReadRangeRequest, ReadRangeResponse>): Promise<void> => {
    try {
      const { range } = call.request;
      if (range?.node !== node) {
        throw new CodedError("invalid_argument", `read range: not of node ${node}`, { field: "range.node" });
      }
      const body = await reader.read(range);
      for (let at = 0; at < body.length && !call.cancelled; at += pieceBytes) {
        const hasRoom = call.write({ data: body.subarray(at, at + pieceBytes) });
        if (!hasRoom) await drained(call);
      }
      call.end();
    } catch (caught) {
      call.emit("error", toStatus(caught));
    }
  };

/** Until the peer took what was written, or is gone. */
function drained(call: ServerWritableStream<ReadRangeRequest, ReadRangeResponse>): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off("drain", done);
      call.off("cancelled", done);
      resolve();
    };
    call.on("drain", done);
    call.on("cancelled", done);
  });
}
