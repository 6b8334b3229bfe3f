import { RangeServiceService } from "@millrace/proto/buffer";
import { createGrpcServer, type GrpcServer } from "@millrace/runtime";
import { createBodyReader } from "@millrace/segments";
import type { BufferConfig } from "./config.js";
import { readRange } from "./handlers/read-range.js";

export interface RangeServerOptions {
  listen: { host: string; port: number };
  rawDir: string;
  node: string;
  healthy(): boolean;
}

/** Serves bodies of the raw side, on a listener of its own: nothing else is to be had there. */
export function createRangeServer({ listen, rawDir, node, healthy }: RangeServerOptions): GrpcServer {
  const reader = createBodyReader({ dirs: { raw: rawDir } });
  const handle = readRange({ reader, node });
  return createGrpcServer({
    listen,
    healthy,
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

/** None where bodies are read on this node only. */
export function rangeServers(config: BufferConfig, healthy: () => boolean): GrpcServer[] {
  const { rawRead: listen, node, segments } = config;
  return listen === undefined ? [] : [createRangeServer({ listen, rawDir: segments.rawDir, node, healthy })];
}
