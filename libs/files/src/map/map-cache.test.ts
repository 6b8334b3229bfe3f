import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { createMapCache, type MapCache, type MappedFile } from "./map-cache.js";

const fileBytes = 8_192;

function folder(t: TestContext): (name: string) => string {
  const dir = mkdtempSync(join(tmpdir(), "millrace-maps-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return (name) => {
    const path = join(dir, name);
    writeFileSync(path, Buffer.alloc(fileBytes, name.charCodeAt(0)), { flag: "a" });
    return path;
  };
}

function taken(maps: MapCache, path: string): MappedFile {
  const file = maps.take(path);
  if (file === undefined) assert.fail(`${path} is mapped`);
  return file;
}

test("a file that gets a new name keeps its map", (t) => {
  const file = folder(t);
  const maps = createMapCache(10 * fileBytes);
  const path = file("a");
  const first = taken(maps, path);
  maps.give(first);
  renameSync(path, `${path}-again`);
  assert.equal(taken(maps, `${path}-again`), first);
  assert.equal(maps.bytes(), fileBytes);
  // The old name is free for another file.
  assert.throws(() => maps.take(path), { code: "ENOENT" });
});

test("the bound ends the least recently used maps, never those in use", (t) => {
  const file = folder(t);
  const maps = createMapCache(3 * fileBytes);
  const [a, b, c] = ["a", "b", "c"].map((name) => taken(maps, file(name)));
  if (a === undefined || b === undefined || c === undefined) assert.fail();
  assert.equal(maps.take(file("d")), undefined, "all of them are in use");
  maps.give(b);
  maps.give(a);
  const d = taken(maps, file("e"));
  assert.equal(maps.bytes(), 3 * fileBytes);
  assert.equal(d.bytes[0], "e".charCodeAt(0));
  assert.equal(a.bytes[0], 0, "used longest ago, though it was given back last");
  assert.equal(b.bytes[0], "b".charCodeAt(0));
  assert.equal(c.bytes[0], "c".charCodeAt(0));
});

test("after close each map ends with its last use", (t) => {
  const file = folder(t);
  const maps = createMapCache(3 * fileBytes);
  const a = taken(maps, file("a"));
  maps.give(taken(maps, file("b")));
  maps.close();
  assert.equal(maps.bytes(), fileBytes);
  assert.equal(a.bytes[0], "a".charCodeAt(0));
  maps.give(a);
  assert.equal(maps.bytes(), 0);
});

/** What the system says is mapped; elsewhere than on Linux it can't be asked. */
const isMapped = (path: string): boolean => {
  const deleted = process.platform === "linux" ? readFileSync("/proc/self/maps", "utf8") : "";
  return deleted.includes(path);
};

test("the map of a file that was deleted ends as soon as nobody uses it", (t) => {
  const file = folder(t);
  const maps = createMapCache(10 * fileBytes);
  const path = file("a");
  const [used, unused] = [taken(maps, path), taken(maps, file("b"))];
  maps.give(unused);
  for (const name of ["a", "b"]) unlinkSync(file(name));
  maps.letGo();
  assert.equal(maps.bytes(), fileBytes, "the one in use stays");
  assert.equal(used.bytes[0], "a".charCodeAt(0));
  maps.give(used);
  assert.equal(maps.bytes(), 0);
  assert.equal(isMapped(path), false);
});

test("mapping another file lets go of deleted ones, never of renamed ones", (t) => {
  const file = folder(t);
  const maps = createMapCache(10 * fileBytes);
  const [a, b] = [file("a"), file("b")];
  const kept = taken(maps, a);
  for (const each of [kept, taken(maps, b)]) maps.give(each);
  renameSync(a, `${a}-again`);
  // Replaced, as by another file of that name.
  renameSync(file("c"), b);
  const replacing = taken(maps, file("d"));
  assert.equal(maps.bytes(), 2 * fileBytes);
  assert.equal(replacing.bytes[0], "d".charCodeAt(0));
  assert.equal(taken(maps, b).bytes[0], "c".charCodeAt(0));
  assert.equal(taken(maps, `${a}-again`), kept);
});
