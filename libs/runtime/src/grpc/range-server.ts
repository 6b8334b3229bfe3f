import type { ServerWritableStream } from "@grpc/grpc-js";
import { CodedError } from "@millrace/errors";
import type { SegmentRange } from "@millrace/proto/batch";
import { RangeServiceService, type ReadRangeRequest, type ReadRangeResponse } from "@millrace/proto/buffer";
import type { Logger } from "../logger.js";
import type { TlsFiles } from "../tls/tls-files.js";
import { internalSecurity } from "./security.js";
import { createGrpcServer, type GrpcServer } from "./server.js";
import { toStatus } from "./status.js";

/** Hands out the checked bytes of ranges of its side, and of no other. */
export interface RangeReader {
  read(range: SegmentRange): Promise<Uint8Array>;
}

/** Who may read what: past the filter everybody behind it, before it nobody but privacy. */
const readersOf = {
  raw: ["privacy"],
  clean: ["inference", "semantic-search", "output"],
} as const;

export interface RangeServerOptions {
  listen: { host: string; port: number };
  reader: RangeReader;
  /** Of which the reader is. */
  side: keyof typeof readersOf;
  /** Where present, only those who may read the side can call. */
  tls?: TlsFiles | undefined;
  log: Logger;
  /** This one. */
  node: string;
  healthy(): boolean;
}

/** Serves bodies of the side that its reader has, on a listener of its own: nothing else is to be had. */
export function createRangeServer(options: RangeServerOptions): GrpcServer {
  const { listen, reader, side, tls, log, node, healthy } = options;
  const handle = readRange({ reader, node });
  return createGrpcServer({
    listen,
    healthy,
    security: internalSecurity({ tls, allow: readersOf[side], log }),
    receiveBytesMax: 64 * 1024,
    services: [
      {
        name: "millrace.buffer.v1.RangeService",
        definition: RangeServiceService,
        implementation: { readRange: (call: Parameters<typeof handle>[0]) => void handle(call) },
      },
    ],
  });
}

/** Few enough messages, each small enough that two calls take turns. */
const pieceBytes = 512 * 1024;

/** Hands the bytes of a range of this node to a reader on another one, as fast as that takes them. */
const readRange =
  ({ reader, node }: { reader: RangeReader; node: string }) =>
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
