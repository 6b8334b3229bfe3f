import { RangeServiceService } from "@millrace/proto/buffer";
import { type Component, createGrpcServer, type GrpcServer, type Runtime } from "@millrace/runtime";
import { type BodyReader, createBodyReader, keepReader } from "@millrace/segments";
import type { BufferConfig } from "./config.js";
import { readRange } from "./handlers/read-range.js";

export interface RangeServerOptions {
  listen: { host: string; port: number };
  reader: Pick<BodyReader, "read">;
  node: string;
  healthy(): boolean;
}

/** Serves bodies of the raw side, on a listener of its own: nothing else is to be had there. */
export function createRangeServer({ listen, reader, node, healthy }: RangeServerOptions): GrpcServer {
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
export function rangeServers(config: BufferConfig, runtime: Runtime, healthy: () => boolean): Component[] {
  const { rawRead: listen, node, segments } = config;
  if (listen === undefined) return [];
  const reader = createBodyReader({ dirs: { raw: segments.rawDir } });
  return [keepReader(reader, runtime), createRangeServer({ listen, reader, node, healthy })];
}
