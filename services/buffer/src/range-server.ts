import { type Component, createRangeServer, type Runtime } from "@millrace/runtime";
import { createBodyReader, keepReader } from "@millrace/segments";
import type { BufferConfig } from "./config.js";

/** One a side: who may reach the one reaches nothing of the other. None where bodies are read here only. */
export function rangeServers(config: BufferConfig, runtime: Runtime, healthy: () => boolean): Component[] {
  const { rawRead, cleanRead, node, tls, segments } = config;
  const sides = [
    { side: "raw", listen: rawRead, dirs: { raw: segments.rawDir } },
    { side: "clean", listen: cleanRead, dirs: { clean: segments.cleanDir } },
  ] as const;
  return sides.flatMap(({ side, listen, dirs }) => {
    if (listen === undefined) return [];
    const reader = createBodyReader({ dirs });
    const { log } = runtime;
    const server = createRangeServer({ listen, reader, side, tls, log, node, healthy });
    return [keepReader(reader, runtime), server];
  });
}
