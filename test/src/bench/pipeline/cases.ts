import type { StreamOptions } from "@millrace/sdk";
import type { BenchOptions } from "../bench-options.js";

/**
 * Parts in files that are taken back and written anew, in files that stay, or as the first and unfiltered.
 */
export type PipelineMode = "recycled" | "kept" | "exempt";

export interface PipelineCase {
  mode: PipelineMode;
  lineBytes: number;
  personal: number;
  /** Bytes that pass through, in GB: whole passes over the input. */
  gb: number;
}

/** Long enough for 60 s at the rate that is hoped for. */
const defaultGb: Readonly<Record<PipelineMode, number>> = { recycled: 40, kept: 28, exempt: 64 };

/** One case a size; or those of which figures are kept, in an order that makes each input once. */
export function casesOf(options: BenchOptions): PipelineCase[] {
  const { mode, sizes, personal, suite } = options;
  const one = (given: Omit<PipelineCase, "gb">): PipelineCase => ({
    ...given,
    gb: options.gb ?? defaultGb[given.mode],
  });
  if (!suite) return sizes.map((lineBytes) => one({ mode, lineBytes, personal }));
  return [
    one({ mode: "recycled", lineBytes: 1024, personal: 0.05 }),
    one({ mode: "kept", lineBytes: 1024, personal: 0.05 }),
    one({ mode: "recycled", lineBytes: 1024, personal: 0.5 }),
    one({ mode: "recycled", lineBytes: 16_384, personal: 0.05 }),
    one({ mode: "exempt", lineBytes: 16_384, personal: 0.05 }),
  ];
}

/** Such as 1kib, 1kib_50pct, 1kib_kept; sizes other than whole KiB in bytes. */
export function labelOf({ lineBytes, personal, mode }: PipelineCase): string {
  const size = lineBytes % 1024 === 0 ? `${lineBytes / 1024}kib` : `${lineBytes}b`;
  const share = personal === 0.05 ? "" : `_${Math.round(personal * 1000) / 10}pct`;
  return `${size}${share}${mode === "recycled" ? "" : `_${mode}`}`;
}

/** Eight parts: each is read before it is taken back, and almost all of an input goes into used files. */
export const retainBytes = 1024 * 1024 * 1024;

/**
 * Each part is a dozen syncs: at these rates there would be eight of the default size a second, and more than
 * can be published grow, so that a used file is always too long or too short for the next one.
 */
const rollBytes = "128MB";

/** As declared: what is not named has its default, so every detector is on. */
export function declaredFor(mode: PipelineMode): StreamOptions {
  return {
    processingMode: "batch",
    batchSize: 8192,
    bufferSize: "768MB",
    ...(mode === "exempt" && { privacy: { exempt: true } }),
    enrichments: { embeddings: false, sentiment: false },
    outputs: {
      storage: { format: "lines", rollAge: "2s", rollBytes, ...(mode !== "kept" && { retainBytes }) },
      results: false,
      artifacts: false,
      search: false,
      events: false,
    },
  };
}
