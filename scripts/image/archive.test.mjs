import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { writeImage } from "./archive.mjs";

const config = { user: "1:1", workdir: "/", entrypoint: ["a"], command: [], env: { A: "b" }, labels: {} };
const longName = "n".repeat(150);

test("the same files make the same digest, whenever and by whomever they were written", (t) => {
  const [first, second] = [folder(t), folder(t)];
  utimesSync(join(second, "bin", "run"), new Date(0), new Date(0));
  chmodSync(join(second, "bin", "run"), 0o700);
  assert.equal(build(t, first).digest, build(t, second).digest);
  writeFileSync(join(second, "bin", "run"), "changed");
  assert.notEqual(build(t, first).digest, build(t, second).digest);
});

test("a layer is a tar that others read: long names, links, modes", (t) => {
  const { path, layers } = build(t, folder(t));
  const unpacked = temporary(t);
  execFileSync("tar", ["-xf", path, "-C", unpacked]);
  const layer = join(unpacked, "blobs", (layers[0]?.digest ?? "").replace(":", "/"));
  const listed = execFileSync("tar", ["-tvf", layer], { encoding: "utf8" });
  assert.match(listed, /^drwxr-xr-x \S+ +0 .* bin\/$/m);
  assert.match(listed, /^-rwxr-xr-x \S+ +3 .* bin\/run$/m);
  assert.match(listed, /^drwxrwxrwt .* tmp\/$/m);
  assert.match(listed, new RegExp(`^-rw-r--r-- .* ${longName}/${longName}$`, "m"));
  assert.match(listed, new RegExp(`^lrwxrwxrwx .* link -> ${longName}/${longName}$`, "m"));
});

test("both formats name the tag, the config and the layers", (t) => {
  const { path, layers } = build(t, folder(t));
  const unpacked = temporary(t);
  execFileSync("tar", ["-xf", path, "-C", unpacked]);
  const read = (/** @type {string} */ name) => JSON.parse(readFileSync(join(unpacked, name), "utf8"));
  const [docker] = read("manifest.json");
  assert.deepEqual(docker.RepoTags, ["a:1"]);
  const [entry] = read("index.json").manifests;
  assert.equal(entry.annotations["io.containerd.image.name"], "docker.io/library/a:1");
  const manifest = read(`blobs/${entry.digest.replace(":", "/")}`);
  assert.equal(docker.Config, `blobs/${manifest.config.digest.replace(":", "/")}`);
  assert.deepEqual(
    docker.Layers,
    layers.map(({ digest }) => `blobs/${digest.replace(":", "/")}`),
  );
  const written = read(docker.Config);
  assert.deepEqual(written.config.Env, ["A=b"]);
  assert.deepEqual(
    written.rootfs.diff_ids,
    layers.map(({ digest }) => digest),
  );
});

/** @param {import("node:test").TestContext} t */
function folder(t) {
  const made = temporary(t);
  mkdirSync(join(made, "bin"));
  mkdirSync(join(made, longName));
  mkdirSync(join(made, "tmp"));
  chmodSync(join(made, "tmp"), 0o1777);
  writeFileSync(join(made, "bin", "run"), "abc", { mode: 0o755 });
  writeFileSync(join(made, longName, longName), "");
  symlinkSync(`${longName}/${longName}`, join(made, "link"));
  // A link to a folder: what lies behind it is not told twice.
  symlinkSync("bin", join(made, "sbin"));
  return made;
}

/**
 * @param {import("node:test").TestContext} t
 * @param {string} layer
 */
function build(t, layer) {
  const workFolder = temporary(t);
  const path = join(temporary(t), "image.tar");
  return { path, ...writeImage({ path, tag: "a:1", layers: [layer], config, workFolder }) };
}

/** @param {import("node:test").TestContext} t */
function temporary(t) {
  const made = mkdtempSync(join(tmpdir(), "millrace-image-"));
  t.after(() => rmSync(made, { recursive: true }));
  return made;
}
