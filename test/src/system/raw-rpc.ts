import { connect as connectHttp2 } from "node:http2";
import { Client, credentials, Metadata, type ServiceError, status as statusCodes } from "@grpc/grpc-js";
import { decodeRpcStatus } from "@millrace/proto/rpc-status";

/** How a call ended, with what google.rpc details say of it. */
export interface RpcEnd {
  /** Name of the gRPC code, such as INVALID_ARGUMENT. */
  code: string;
  message: string;
  field: string;
  remedy: string;
  /** The bytes of what was answered before the end. */
  answers: readonly Uint8Array[];
}

/** Calls a gRPC server with bytes of one's own: what no client library would send. */
export interface RawRpc {
  /** `path` as in `/millrace.message.v1.PublishService/Publish`. */
  unary(path: string, request: Uint8Array, headers?: Readonly<Record<string, string>>): Promise<RpcEnd>;
  /** Sends the requests one after the other, then closes its side and waits for the end of the other. */
  duplex(path: string, requests: readonly Uint8Array[]): Promise<RpcEnd>;
  close(): void;
}

const deadlineMs = 30_000;
const identity = (bytes: Buffer): Buffer => bytes;

export function openRawRpc(address: string): RawRpc {
  const unlimited = { "grpc.max_send_message_length": -1 };
  const client = new Client(address, credentials.createInsecure(), unlimited);
  const deadline = (): number => Date.now() + deadlineMs;
  return {
    unary: (path, request, headers = {}) =>
      new Promise((resolve) => {
        const metadata = new Metadata();
        for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
        const bytes = Buffer.from(request);
        const options = { deadline: deadline() };
        client.makeUnaryRequest(path, identity, identity, bytes, metadata, options, (error, answer) =>
          resolve(error === null ? endedWell(answer === undefined ? [] : [answer]) : endOf(error, [])),
        );
      }),
    duplex: (path, requests) =>
      new Promise((resolve) => {
        const call = client.makeBidiStreamRequest(path, identity, identity, { deadline: deadline() });
        const answers: Uint8Array[] = [];
        call.on("data", (answer: Buffer) => answers.push(answer));
        call.on("error", (error: ServiceError) => resolve(endOf(error, answers)));
        call.on("end", () => resolve(endedWell(answers)));
        for (const request of requests) call.write(Buffer.from(request));
        call.end();
      }),
    close: () => client.close(),
  };
}

/**
 * A unary call whose body is these bytes, framing included, over a connection of its own. Resolves with the
 * code, or with "reset" where the server gave the call up without one.
 */
export function sendFrame(address: string, path: string, body: Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://${address}`);
    const readable = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
    });
    const done = (code: string | undefined): void => {
      session.destroy();
      resolve(code === undefined ? "reset" : codeName(Number(code)));
    };
    const codeIn = (headers: object): string | undefined =>
      (headers as Record<string, string | undefined>)["grpc-status"];
    let code: string | undefined;
    readable.setTimeout(deadlineMs, () => reject(new Error(`no end of the call within ${deadlineMs} ms`)));
    readable.on("response", (headers) => (code = codeIn(headers)));
    readable.on("trailers", (trailers) => (code = codeIn(trailers)));
    readable.on("error", () => undefined).on("close", () => done(code));
    session.on("error", reject);
    readable.resume();
    readable.end(body);
  });
}

function endedWell(answers: readonly Uint8Array[]): RpcEnd {
  return { code: "OK", message: "", field: "", remedy: "", answers };
}

function endOf(error: ServiceError, answers: readonly Uint8Array[]): RpcEnd {
  const trailer = error.metadata?.get("grpc-status-details-bin")[0];
  const details = trailer instanceof Uint8Array ? decodeRpcStatus(trailer) : undefined;
  const { field = "", remedy = "" } = details?.errorInfo?.metadata ?? {};
  return { code: codeName(error.code), message: error.details, field, remedy, answers };
}

function codeName(code: number): string {
  return statusCodes[code] ?? String(code);
}
