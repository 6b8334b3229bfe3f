import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { loadNative } from "./native.js";
import { openMap, whyNoMaps } from "./open-map.js";

function fileOf(t: TestContext, content: Uint8Array): string {
  const dir = mkdtempSync(join(tmpdir(), "millrace-map-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, "file");
  writeFileSync(path, content);
  return path;
}

const numbered = (bytes: number): Uint8Array => Buffer.alloc(bytes).map((_, at) => (at * 31) & 0xff);

test("this platform maps files", () => assert.equal(whyNoMaps(), undefined));

test("a map shows the file, and what is written to it afterwards", (t) => {
  const content = numbered(200_000);
  const path = fileOf(t, content);
  const map = openMap(path);
  assert.deepEqual(Buffer.from(map.bytes), content);
  writeSync(openSync(path, "r+"), "written later", 150_000);
  assert.equal(Buffer.from(map.bytes.subarray(150_000, 150_013)).toString(), "written later");
  map.close();
});

test("a part of a file is mapped wherever it begins", (t) => {
  const content = numbered(50_000);
  const path = fileOf(t, content);
  for (const [offset, length] of [
    [0, 1],
    [1, 4_096],
    [4_096, 4_096],
    [12_345, 20_000],
    [49_999, 1],
    [50_000, 0],
  ] as const) {
    const map = openMap(path, { offset, length, sequential: true });
    assert.deepEqual(Buffer.from(map.bytes), content.subarray(offset, offset + length));
    map.close();
  }
});

test("a part that the file has not is refused, and an empty file maps to nothing", (t) => {
  const path = fileOf(t, numbered(100));
  for (const options of [{ offset: 101 }, { length: 101 }, { offset: -1 }, { offset: 0.5 }, { length: -1 }]) {
    assert.throws(() => openMap(path, options), { code: "out_of_range" });
  }
  assert.throws(() => openMap(`${path}-missing`), { code: "not_found" });
  assert.equal(openMap(fileOf(t, Buffer.alloc(0))).bytes.length, 0);
});

test("a closed map lets go of the file, and a view that was kept reads zeros instead of crashing", (t) => {
  const path = fileOf(t, numbered(100_000));
  const map = openMap(path);
  const kept = map.bytes.subarray(1, 10);
  assert.ok(kept.some((byte) => byte !== 0));
  map.close();
  map.close();
  assert.ok(kept.every((byte) => byte === 0));
  if (process.platform === "linux") assert.ok(!readFileSync("/proc/self/maps", "utf8").includes(path));
  appendFileSync(path, "the file itself is untouched");
});

const closing = `
  import { openMap } from ${JSON.stringify(fileURLToPath(new URL("./open-map.js", import.meta.url)))};
  import { readFileSync } from "node:fs";
  const mib = () => Number(/VmSize:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
  const before = mib();
  for (let n = 0; n < 50; n++) openMap(process.argv[1]).close();
  const closed = mib() - before;
  for (let n = 0; n < 20; n++) { globalThis.gc(); await new Promise((done) => setImmediate(done)); }
  console.log(JSON.stringify({ closed, collected: mib() - before }));
`;

test("memory of closed maps is given back when nobody can see it any more", (t) => {
  const path = fileOf(t, new Uint8Array());
  truncateSync(path, 64 * 1024 * 1024);
  if (process.platform !== "linux") return;
  const args = ["--expose-gc", "--input-type=module", "-e", closing, path];
  const sizes: unknown = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
  const { closed, collected } = sizes as { closed: number; collected: number };
  assert.ok(closed > 1_000, `${closed} MiB of addresses are held until then`);
  assert.ok(collected < 500, `${collected} MiB of addresses are still held`);
});

test("a platform without mapping says so", () => {
  assert.equal(loadNative("win32"), "mapping files is not built for win32");
});
