import { createHash } from "node:crypto";
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { namesBelow } from "./walk.mjs";

/**
 * Writes images as archives that `docker load`, `podman load`, `ctr images import` and `kind load
 * image-archive` take: an OCI layout with the manifest.json of Docker's older format beside it.
 *
 *     oci-layout  index.json  manifest.json  blobs/sha256/<manifest, config, a tar a layer>
 *
 * Entries are sorted, their times zero, owners root and modes reduced to what matters, so the same files make
 * the same bytes.
 */

const block = 512;

/**
 * @typedef {object} ImageConfig
 * @property {string} user
 * @property {string} workdir
 * @property {string[]} entrypoint
 * @property {string[] | undefined} command
 * @property {Record<string, string>} env
 * @property {Record<string, string>} labels
 */

/**
 * @typedef {object} ImageParts
 * @property {string} path of the archive
 * @property {string} tag
 * @property {string[]} layers folders whose contents are copied to / in this order
 * @property {ImageConfig} config
 * @property {string} workFolder empty
 */

/**
 * @param {ImageParts} image
 * @returns {{ digest: string, layers: { folder: string, digest: string, bytes: number }[] }}
 */
export function writeImage({ path, tag, layers, config, workFolder }) {
  const blobs = join(workFolder, "blobs", "sha256");
  mkdirSync(blobs, { recursive: true });
  const written = layers.map((folder) => ({ folder, ...writeLayer(folder, blobs) }));
  const configBlob = putJson(
    blobs,
    configOf(
      config,
      written.map(({ digest }) => digest),
    ),
  );
  const type = "application/vnd.oci.image";
  const manifest = putJson(blobs, {
    schemaVersion: 2,
    mediaType: `${type}.manifest.v1+json`,
    config: { mediaType: `${type}.config.v1+json`, digest: configBlob.digest, size: configBlob.bytes },
    layers: written.map(({ digest, bytes }) => ({ mediaType: `${type}.layer.v1.tar`, digest, size: bytes })),
  });
  const named = {
    "io.containerd.image.name": `docker.io/library/${tag}`,
    "org.opencontainers.image.ref.name": tag,
  };
  writeJson(join(workFolder, "index.json"), {
    schemaVersion: 2,
    mediaType: `${type}.index.v1+json`,
    manifests: [
      {
        mediaType: `${type}.manifest.v1+json`,
        digest: manifest.digest,
        size: manifest.bytes,
        annotations: named,
      },
    ],
  });
  writeJson(join(workFolder, "oci-layout"), { imageLayoutVersion: "1.0.0" });
  const blobPath = (/** @type {string} */ digest) => `blobs/${digest.replace(":", "/")}`;
  writeJson(join(workFolder, "manifest.json"), [
    {
      Config: blobPath(configBlob.digest),
      RepoTags: [tag],
      Layers: written.map(({ digest }) => blobPath(digest)),
    },
  ]);
  writeTar(workFolder, `${path}.part`);
  renameSync(`${path}.part`, path);
  return { digest: manifest.digest, layers: written };
}

/**
 * @param {ImageConfig} config
 * @param {string[]} diffIds
 */
function configOf(config, diffIds) {
  return {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    // No time of building: it would be all that differs between two builds of one commit.
    created: "1970-01-01T00:00:00Z",
    config: {
      User: config.user,
      WorkingDir: config.workdir,
      Entrypoint: config.entrypoint,
      ...(config.command === undefined ? {} : { Cmd: config.command }),
      Env: Object.entries(config.env).map(([name, value]) => `${name}=${value}`),
      Labels: config.labels,
    },
    rootfs: { type: "layers", diff_ids: diffIds },
  };
}

/**
 * @param {string} folder
 * @param {string} blobs
 */
function writeLayer(folder, blobs) {
  const aside = join(blobs, "layer.part");
  const sum = writeTar(folder, aside);
  const path = join(blobs, sum);
  renameSync(aside, path);
  return { digest: `sha256:${sum}`, bytes: statSync(path).size };
}

/**
 * @param {string} blobs
 * @param {unknown} value
 */
function putJson(blobs, value) {
  const bytes = Buffer.from(JSON.stringify(value));
  const sum = createHash("sha256").update(bytes).digest("hex");
  writeFileSync(join(blobs, sum), bytes);
  return { digest: `sha256:${sum}`, bytes: bytes.length };
}

/**
 * @param {string} path
 * @param {unknown} value
 */
function writeJson(path, value) {
  writeFileSync(path, JSON.stringify(value));
}

/**
 * @param {string} folder
 * @param {string} path
 * @returns {string} the sha256 of what was written
 */
export function writeTar(folder, path) {
  mkdirSync(dirname(path), { recursive: true });
  const file = openSync(path, "w");
  const hash = createHash("sha256");
  const write = (/** @type {Uint8Array} */ bytes) => {
    hash.update(bytes);
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
  };
  try {
    for (const name of namesBelow(folder)) writeEntry(folder, name, write);
    write(Buffer.alloc(2 * block));
  } finally {
    closeSync(file);
  }
  return hash.digest("hex");
}

/**
 * @param {string} folder
 * @param {string} name
 * @param {(bytes: Uint8Array) => void} write
 */
function writeEntry(folder, name, write) {
  const path = join(folder, name);
  const found = lstatSync(path);
  if (found.isSymbolicLink()) {
    const link = readlinkSync(path);
    return writeHeader({ name, type: "2", mode: 0o777, size: 0, link }, write);
  }
  if (found.isDirectory()) {
    const mode = (found.mode & 0o1000) === 0 ? 0o755 : 0o1777;
    return writeHeader({ name: `${name}/`, type: "5", mode, size: 0, link: "" }, write);
  }
  const mode = (found.mode & 0o100) === 0 ? 0o644 : 0o755;
  const bytes = readFileSync(path);
  writeHeader({ name, type: "0", mode, size: bytes.length, link: "" }, write);
  write(bytes);
  write(Buffer.alloc((block - (bytes.length % block)) % block));
}

/** @typedef {{ name: string, type: string, mode: number, size: number, link: string }} Entry */

/**
 * @param {Entry} entry
 * @param {(bytes: Uint8Array) => void} write
 */
function writeHeader(entry, write) {
  const long = { path: entry.name, linkpath: entry.link };
  const records = Object.entries(long)
    .filter(([, value]) => Buffer.byteLength(value) > 100)
    .map(([key, value]) => paxRecord(key, value))
    .join("");
  if (records !== "") {
    const size = Buffer.byteLength(records);
    write(header({ name: "pax", type: "x", mode: 0o644, size, link: "" }));
    write(Buffer.from(records));
    write(Buffer.alloc((block - (size % block)) % block));
  }
  write(header(entry));
}

/**
 * "<length> <key>=<value>\n", where the length counts its own digits.
 *
 * @param {string} key
 * @param {string} value
 */
function paxRecord(key, value) {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (rest + String(length).length !== length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

/** @param {Entry} entry */
function header(entry) {
  const bytes = Buffer.alloc(block);
  const octal = (/** @type {number} */ value, /** @type {number} */ at, /** @type {number} */ width) =>
    bytes.write(`${value.toString(8).padStart(width - 1, "0")}\0`, at, "latin1");
  Buffer.from(entry.name).copy(bytes, 0, 0, 100);
  octal(entry.mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(entry.size, 124, 12);
  octal(0, 136, 12);
  bytes.fill(0x20, 148, 156);
  bytes.write(entry.type, 156, "latin1");
  Buffer.from(entry.link).copy(bytes, 157, 0, 100);
  bytes.write("ustar\x0000", 257, "latin1");
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return bytes;
}
