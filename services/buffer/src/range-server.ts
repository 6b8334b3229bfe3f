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

/** Serves bodies of the side that its reader has, on a listener of its own: nothing else is to be had. */
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

/** One a side: who may reach the one reaches nothing of the other. None where bodies are read here only. */
export function rangeServers(config: BufferConfig, runtime: Runtime, healthy: () => boolean): Component[] {
  const { rawRead, cleanRead, node, segments } = config;
  const sides = [
    { listen: rawRead, dirs: { raw: segments.rawDir } },
    { listen: cleanRead, dirs: { clean: segments.cleanDir } },
  ];
  return sides.flatMap(({ listen, dirs }) => {
    if (listen === undefined) return [];
    const reader = createBodyReader({ dirs });
    return [keepReader(reader, runtime), createRangeServer({ listen, reader, node, healthy })];
  });
}
