import assert from "node:assert/strict";
import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readlinkSync,
  readdirSync,
  readSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import test from "node:test";
import { runQuietly } from "../lib/command.mjs";
import { layOutBase, obtainNode } from "./base.mjs";
import { appFolder, modelName, modelsFolder } from "./definition.mjs";
import { layOutCode, layOutDependencies, layOutModel } from "./lay-out.mjs";
import { namesBelow } from "./walk.mjs";

/**
 * The image's tree with nothing of the checkout in reach: what was pruned wrongly is missed here. Only on
 * Linux can such a tree run; an image that an engine builds runs the same files.
 */
const canRun = process.platform === "linux";

if (!canRun) {
  test("elsewhere an image takes an engine, which is said", async () => {
    await assert.rejects(obtainNode(), { message: /--engine docker/ });
  });
}

const assembled = canRun ? test : () => undefined;

assembled("the assembled tree runs", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "millrace-tree-"));
  t.after(() => rmSync(root, { recursive: true }));
  // The image's user has to get in.
  chmodSync(root, 0o755);
  await layOutDependencies(root);
  await layOutModel(root);
  layOutCode(root);
  await layOutBase(root, root);

  await t.test("no link leads out of it, and none into nothing", () => {
    const links = namesBelow(root).filter((name) => lstatSync(join(root, name)).isSymbolicLink());
    assert.ok(links.length > 100, "pnpm makes links");
    for (const name of links) {
      const target = resolve(root, dirname(name), readlinkSync(join(root, name)));
      assert.ok(!relative(root, target).startsWith(".."), name);
      // An optional package of another platform is linked and not installed.
      assert.ok(existsSync(target), name);
    }
  });

  await t.test("native files are of this machine's kind only", () => {
    const natives = namesBelow(root).filter((name) => /\.(node|dll|dylib)$|\.so(\.\d+)*$/.test(name));
    assert.ok(natives.length >= 6);
    for (const name of natives)
      assert.equal(elfMachine(join(root, name)), elfMachine(process.execPath), name);
  });

  for (const service of readdirSync(join(root, appFolder, "services"))) {
    await t.test(`${service} starts as far as its config`, async () => {
      const main = `/app/services/${service}/dist/main.js`;
      const schema = await runIn(root, [main, "--print-schema"]);
      assert.equal(schema.code, 0, schema.output);
      assert.equal(JSON.parse(schema.output).type, "object");
      const check = await runIn(root, [main, "--check-config"]);
      // Some fields have no default; then it says which.
      if (check.code !== 0) assert.match(check.output, /invalid_argument: .*\(field: /);
    });
  }

  await t.test("the command line is there", async () => {
    const { code, output } = await runIn(root, ["/app/cli/bin/millrace.mjs", "--help"]);
    assert.equal(code, 0, output);
    assert.match(output, /publish/);
  });

  await t.test("the models run, images are cleaned, vectors are indexed, files are mapped", async () => {
    const { code, output } = await runIn(root, ["--input-type=module", "-e", probe]);
    assert.equal(code, 0, output);
    assert.match(output, /dimensions 384, nearest 7, maps true, cleaned png/);
  });
});

/** Runs inside the image. */
const probe = `
  import { createRequire } from "node:module";
  const app = process.env.APP_ROOT ?? "";
  const { loadTextModel } = await import(app + "/app/services/inference/dist/model/text-model.js");
  const model = await loadTextModel({
    manifestPath: app + "/app/models/manifest.json",
    modelsDirectory: app + "/${modelsFolder}",
    name: "${modelName}",
  });
  const vector = await model.embed("a stream turns a wheel", "passage");
  const { Index, MetricKind } = createRequire(app + "/app/services/semantic-search/dist/main.js")("usearch");
  const index = new Index({ dimensions: vector.length, metric: MetricKind.Cos });
  index.add(7n, vector);
  const nearest = index.search(vector, 1, 1).keys[0];
  const { loadFaceModel } = await import(app + "/app/services/privacy/dist/image/face-model.js");
  const { cleanImage } = await import(app + "/app/services/privacy/dist/image/clean-image.js");
  const images = app + "/app/libs/images/dist/index.js";
  const { sniffImage } = await import(images);
  const plain = { create: { width: 64, height: 64, channels: 3, background: "#345678" } };
  const image = await createRequire(images)("sharp")(plain).png().toBuffer();
  const faces = await loadFaceModel({
    manifestPath: app + "/app/models/manifest.json",
    directory: app + "/${modelsFolder}",
    name: "centerface",
  });
  const cleaned = sniffImage((await cleanImage(image, faces)).bytes);
  const { whyNoMaps } = await import(app + "/app/libs/files/dist/index.js");
  const maps = whyNoMaps() === undefined;
  const found = "dimensions " + vector.length + ", nearest " + nearest;
  console.log(found + ", maps " + maps + ", cleaned " + cleaned);
`;

/**
 * With the tree as its whole file system where we may, as the image's user; else by the tree's own loader.
 *
 * @param {string} root
 * @param {string[]} args of node
 */
function runIn(root, args) {
  const env = { NODE_ENV: "production", PATH: "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" };
  if (process.getuid?.() === 0) {
    return runQuietly("chroot", ["--userspec=10001:10001", root, "/usr/local/bin/node", ...args], { env });
  }
  const loader = namesBelow(root).find((name) => /(^|\/)ld-linux[^/]*\.so\.\d$/.test(name)) ?? "";
  const libraries = new Set(
    namesBelow(join(root, "lib"))
      .filter((name) => /\.so\.\d+$/.test(name))
      .map((name) => join(root, "lib", dirname(name))),
  );
  const moved = args.map((arg) => (arg.startsWith("/app/") ? join(root, arg) : arg));
  const line = ["--library-path", [...libraries].join(":"), join(root, "usr/local/bin/node"), ...moved];
  return runQuietly(join(root, loader), line, { env: { ...env, APP_ROOT: root } });
}

/** @param {string} path */
function elfMachine(path) {
  const head = Buffer.alloc(20);
  const file = openSync(path, "r");
  try {
    readSync(file, head, 0, head.length, 0);
  } finally {
    closeSync(file);
  }
  assert.equal(head.toString("latin1", 1, 4), "ELF", path);
  return head.readUInt16LE(18);
}
