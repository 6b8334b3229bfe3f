import { z } from "zod";
import { modelName, readEntry, relativePath, sha256, verifiedFile } from "./manifest-entry.js";

/**
 * What a text model's entry in `models/manifest.json` says about its use; where it comes from is the CLI's
 * part.
 */
const textEntry = z.object({
  name: modelName,
  task: z.literal("text-embedding"),
  files: z.array(z.object({ to: relativePath, sha256 })),
  tokenizer: verifiedFile.extend({ kind: z.literal("bert-word-piece") }),
  heads: z.object({ sentiment: verifiedFile }),
  io: z.object({
    model: relativePath,
    inputs: z.array(z.enum(["input_ids", "attention_mask", "token_type_ids"])),
    output: z.string(),
    dimensions: z.int().min(1).max(4096),
    pooling: z.enum(["cls", "mean"]),
    normalize: z.boolean(),
    /** [CLS] and [SEP] included; longer texts are cut. */
    maxTokens: z.int().min(8).max(8192),
    /** Put before a query, so that a question lies near its answers; "" where the model knows none. */
    queryPrefix: z.string(),
    /**
     * Cosines that 99 % and 99.9 % of random pairs of texts stay below: what unrelated and similar mean here.
     */
    similarity: z.object({ unrelatedMax: z.number(), similarMin: z.number() }),
  }),
});

export type TextEntry = z.infer<typeof textEntry>;

/**
 * @throws CodedError not_found (no such file or model), failed_precondition (an entry that makes no sense).
 */
export function readTextEntry(manifestPath: string, name: string): Promise<TextEntry> {
  return readEntry(textEntry, manifestPath, name);
}
