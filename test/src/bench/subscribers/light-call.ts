import { connect, type ClientHttp2Session } from "node:http2";
import { SubscribeRequest, SubscribeResponse, SubscribeServiceService } from "@millrace/proto/message";

/*
 * A Subscribe call read off HTTP/2 itself: the load shares the machine with what it measures, and a call of
 * grpc-js takes several times the CPU for each response.
 */

const frameHeaderBytes = 5;

export function connectLight(address: string): ClientHttp2Session {
  const session = connect(`http://${address}`);
  session.on("error", (error: Error) => {
    throw error;
  });
  return session;
}

/** Calls back for each response; an error, or an end, ends the process. */
export function subscribeLight(
  session: ClientHttp2Session,
  stream: string,
  onResponse: (response: SubscribeResponse) => void,
): void {
  const call = session.request({
    ":method": "POST",
    ":path": SubscribeServiceService.subscribe.path,
    "content-type": "application/grpc",
    te: "trailers",
  });
  const request = SubscribeRequest.encode(SubscribeRequest.fromPartial({ stream })).finish();
  const framed = Buffer.alloc(frameHeaderBytes + request.length);
  framed.writeUInt32BE(request.length, 1);
  framed.set(request, frameHeaderBytes);
  call.end(framed);
  let rest: Buffer = Buffer.alloc(0);
  call.on("data", (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= frameHeaderBytes) {
      const end = frameHeaderBytes + rest.readUInt32BE(1);
      if (rest.length < end) break;
      onResponse(SubscribeResponse.decode(rest.subarray(frameHeaderBytes, end)));
      rest = rest.subarray(end);
    }
  });
  call.on("trailers", (trailers) => {
    throw new Error(`subscribe: the call ended: ${JSON.stringify(trailers)}`);
  });
  call.on("error", (error: Error) => {
    throw error;
  });
}
