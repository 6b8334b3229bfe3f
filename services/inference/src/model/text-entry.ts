import { readFile } from "node:fs/promises";
import { CodedError } from "@millrace/errors";
import { z } from "zod";

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
/** A path below the manifest's or the model's directory; it cannot lead out of it. */
const relativePath = z.string().regex(/^(?!.*(^|\/)\.\.(\/|$))[A-Za-z0-9._-][A-Za-z0-9._/-]*$/);
const verifiedFile = z.object({ file: relativePath, sha256 });

/**
 * What a text model's entry in `models/manifest.json` says about its use; where it comes from is the CLI's
 * part.
 */
const textEntry = z.object({
  name: z.string().regex(/^[a-z0-9][a-z0-9.-]*$/),
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

const manifest = z.object({ schema: z.literal(1), models: z.array(z.looseObject({ name: z.string() })) });

/**
 * @throws CodedError not_found (no such file or model), failed_precondition (an entry that makes no sense).
 */
export async function readTextEntry(manifestPath: string, name: string): Promise<TextEntry> {
  const json = await readFile(manifestPath, "utf8").catch((cause: unknown) => {
    throw new CodedError("not_found", `model manifest ${manifestPath} could not be read`, {
      field: "manifestPath",
      remedy: "Point it at models/manifest.json of the checkout or the image",
      cause,
    });
  });
  const parsed = parse(manifest, json, manifestPath);
  const entry = parsed.models.find((model) => model.name === name);
  if (entry !== undefined) return parse(textEntry, JSON.stringify(entry), `${manifestPath}, model ${name}`);
  const known = parsed.models.map((model) => model.name).join(", ");
  throw new CodedError("not_found", `model ${name} is not in ${manifestPath}`, {
    field: "model",
    remedy: `Name one of: ${known}`,
  });
}

function parse<T>(schema: z.ZodType<T>, json: string, what: string): T {
  try {
    return schema.parse(JSON.parse(json));
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause).replaceAll("\n", " ") : String(cause);
    throw new CodedError("failed_precondition", `${what} makes no sense: ${reason}`, { cause });
  }
}
