import { readFile } from "node:fs/promises";
import { CodedError } from "@millrace/errors";
import { z } from "zod";

export const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
/** A path below the manifest's or the model's directory; it cannot lead out of it. */
export const relativePath = z.string().regex(/^(?!.*(^|\/)\.\.(\/|$))[A-Za-z0-9._-][A-Za-z0-9._/-]*$/);
export const modelName = z.string().regex(/^[a-z0-9][a-z0-9.-]*$/);
/** A file beside the manifest. */
export const verifiedFile = z.object({ file: relativePath, sha256 });

const manifest = z.object({ schema: z.literal(1), models: z.array(z.looseObject({ name: z.string() })) });

/**
 * @throws CodedError not_found (no such file or model), failed_precondition (an entry that makes no sense).
 */
export async function readEntry<Entry>(
  schema: z.ZodType<Entry>,
  manifestPath: string,
  name: string,
): Promise<Entry> {
  const json = await readFile(manifestPath, "utf8").catch((cause: unknown) => {
    throw new CodedError("not_found", `model manifest ${manifestPath} could not be read`, {
      field: "manifestPath",
      remedy: "Point it at models/manifest.json of the checkout or the image",
      cause,
    });
  });
  const parsed = parse(manifest, json, manifestPath);
  const entry = parsed.models.find((model) => model.name === name);
  if (entry !== undefined) return parse(schema, JSON.stringify(entry), `${manifestPath}, model ${name}`);
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
