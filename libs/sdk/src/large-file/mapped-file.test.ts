import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { type Chunk, type MappedFile, mmapFile, type MmapOptions } from "./mapped-file.js";

function fileOf(t: TestContext, content: Uint8Array | number): string {
  const dir = mkdtempSync(join(tmpdir(), "millrace-large-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, "file");
  writeFileSync(path, typeof content === "number" ? "" : content);
  if (typeof content === "number") truncateSync(path, content);
  return path;
}

const numbered = (bytes: number): Uint8Array =>
  Uint8Array.from({ length: bytes }, (_, at) => (at * 31) & 0xff);

/** Each way to the bytes; the maps are so small that the file takes several of them. */
const ways: Record<string, MmapOptions> = {
  mapped: { mmapSize: "64KiB" },
  "mapped and copied": { mmapSize: "64KiB", zeroCopy: false },
  read: { memoryMapping: false },
  "read and copied": { memoryMapping: false, zeroCopy: false },
};

async function contentOf(
  file: MappedFile,
  chunkSize: number,
): Promise<{ content: Buffer; offsets: number[] }> {
  const parts: Buffer[] = [];
  const offsets: number[] = [];
  for await (const { bytes, offset } of file.iterChunks({ chunkSize })) {
    parts.push(Buffer.from(bytes));
    offsets.push(offset);
  }
  return { content: Buffer.concat(parts), offsets };
}

for (const [way, options] of Object.entries(ways)) {
  test(`${way}: chunks are the file, front to back`, async (t) => {
    const content = numbered(300_000);
    using file = mmapFile(fileOf(t, content), options);
    assert.equal(file.size, 300_000);
    assert.equal(file.dataPath, options.memoryMapping === false ? "read" : "mapped");
    for (const chunkSize of [7_001, 50_000, 65_536]) {
      const seen = await contentOf(file, chunkSize);
      assert.deepEqual(seen.content, Buffer.from(content));
      assert.deepEqual(
        seen.offsets,
        Array.from(seen.offsets, (_, at) => at * chunkSize),
      );
      assert.equal(seen.offsets.length, Math.ceil(300_000 / chunkSize));
    }
  });

  test(`${way}: a part begins and ends where it is asked to`, async (t) => {
    const content = numbered(100_000);
    using file = mmapFile(fileOf(t, content), options);
    const seen: [number, number][] = [];
    for await (const { bytes, offset } of file.iterChunks({
      chunkSize: 9_000,
      offset: 12_345,
      length: 20_001,
    })) {
      assert.deepEqual(Buffer.from(bytes), Buffer.from(content.subarray(offset, offset + bytes.length)));
      seen.push([offset, bytes.length]);
    }
    assert.deepEqual(seen, [
      [12_345, 9_000],
      [21_345, 9_000],
      [30_345, 2_001],
    ]);
  });

  test(`${way}: an empty file has no chunks`, async (t) => {
    using file = mmapFile(fileOf(t, 0), options);
    assert.deepEqual(await contentOf(file, 1_000), { content: Buffer.alloc(0), offsets: [] });
  });

  test(`${way}: a file that becomes shorter ends the iteration`, async (t) => {
    const path = fileOf(t, numbered(200_000));
    using file = mmapFile(path, options);
    const chunks = file.iterChunks({ chunkSize: 40_000 });
    await chunks.next();
    truncateSync(path, 50_000);
    await assert.rejects(chunks.next(), {
      code: "failed_precondition",
      message: /it became shorter, from 200000 to 50000 bytes/,
    });
    assert.deepEqual(await chunks.next(), { value: undefined, done: true });
  });

  test(`${way}: a file that is replaced or appended to is read as it was opened`, async (t) => {
    const content = numbered(200_000);
    const path = fileOf(t, content);
    using file = mmapFile(path, options);
    const chunks = file.iterChunks({ chunkSize: 65_536 });
    const parts = [Buffer.from(present(await chunks.next()).bytes)];
    appendFileSync(path, "appended");
    writeFileSync(`${path}.new`, "another file");
    renameSync(`${path}.new`, path);
    for await (const { bytes } of chunks) parts.push(Buffer.from(bytes));
    assert.deepEqual(Buffer.concat(parts), Buffer.from(content));
  });
}

function present(result: IteratorResult<Chunk, void>): Chunk {
  assert.ok(result.done !== true, "there is a chunk");
  return result.value;
}

const over = { code: "failed_precondition", field: "path" };

for (const way of ["mapped", "read"]) {
  test(`${way}: a chunk that is over says so`, async (t) => {
    const file = mmapFile(fileOf(t, numbered(200_000)), ways[way]);
    const kept: Chunk[] = [];
    for await (const chunk of file.iterChunks({ chunkSize: 50_000 })) {
      assert.equal(chunk.bytes.length, 50_000);
      for (const earlier of kept)
        assert.throws(() => earlier.bytes, { ...over, message: /chunk at \d+ is over/ });
      kept.push(chunk);
      if (kept.length === 3) break;
    }
    assert.throws(() => kept[2]?.bytes, over);
    const [first] = [await file.iterChunks().next()];
    file.close();
    assert.throws(() => present(first).bytes, { ...over, message: /it was closed/ });
  });

  test(`${way}: a file that is closed within the loop ends it with an error`, async (t) => {
    const file = mmapFile(fileOf(t, numbered(200_000)), ways[way]);
    let seen = 0;
    const going = async (): Promise<void> => {
      for await (const chunk of file.iterChunks({ chunkSize: 50_000 })) {
        seen += 1;
        file.close();
        file.close();
        assert.throws(() => chunk.bytes, over);
      }
    };
    await assert.rejects(going(), { ...over, message: /it was closed/ });
    assert.equal(seen, 1);
    await assert.rejects(file.iterChunks().next(), over);
  });
}

test("bytes that were kept past their window read zeros, they do not crash", async (t) => {
  const file = mmapFile(fileOf(t, numbered(200_000)), ways["mapped"]);
  const kept: Uint8Array[] = [];
  for await (const { bytes } of file.iterChunks({ chunkSize: 65_536 })) kept.push(bytes);
  file.close();
  for (const bytes of kept) assert.ok(bytes.every((byte) => byte === 0));
});

test("copies stay, and may be written to", async (t) => {
  for (const way of ["mapped and copied", "read and copied"]) {
    const content = numbered(200_000);
    const kept: Chunk[] = [];
    const file = mmapFile(fileOf(t, content), ways[way]);
    for await (const chunk of file.iterChunks({ chunkSize: 65_536 })) kept.push(chunk);
    file.close();
    assert.deepEqual(Buffer.concat(kept.map(({ bytes }) => bytes)), Buffer.from(content));
    kept[0]?.bytes.fill(1);
  }
});

test("a file is closed while it is being read", async (t) => {
  const file = mmapFile(fileOf(t, 10_000_000), ways["read"]);
  const pending = file.iterChunks().next();
  file.close();
  await assert.rejects(pending, over);
});

test("the event loop goes on while a file is gone through", async (t) => {
  using file = mmapFile(fileOf(t, 400_000_000));
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns += 1;
    if (!isOver) setImmediate(count);
  };
  count();
  for await (const { bytes } of file.iterChunks({ chunkSize: "1MB" })) assert.equal(bytes[0], 0);
  isOver = true;
  assert.ok(turns >= 20, `${turns} turns`);
});

test("a file is closed by somebody else while the loop goes on", async (t) => {
  for (const options of [{}, { memoryMapping: false }]) {
    const file = mmapFile(fileOf(t, 400_000_000), options);
    setImmediate(file.close);
    const going = async (): Promise<void> => {
      for await (const { bytes } of file.iterChunks({ chunkSize: "1MB" })) assert.equal(bytes[0], 0);
    };
    await assert.rejects(going(), { ...over, message: /it was closed/ });
  }
});

test("one iteration goes on at a time, and another one after it", async (t) => {
  using file = mmapFile(fileOf(t, numbered(200_000)), ways["mapped"]);
  const first = file.iterChunks();
  await first.next();
  await assert.rejects(file.iterChunks().next(), { ...over, message: /gone through already/ });
  await first.return();
  assert.equal((await contentOf(file, 60_000)).content.length, 200_000);
});

test("chunks behind 4 GiB are reached", async (t) => {
  const size = 5 * 2 ** 30;
  const path = fileOf(t, size);
  writeSync(openSync(path, "r+"), "at the end", size - 10);
  for (const options of [{}, { memoryMapping: false }]) {
    using file = mmapFile(path, options);
    const offset = size - 100_000_010;
    let last: [number, string] = [0, ""];
    for await (const { offset: at, bytes } of file.iterChunks({ offset, chunkSize: "100MB" })) {
      last = [at, Buffer.from(bytes).toString()];
    }
    assert.deepEqual(last, [size - 10, "at the end"]);
  }
});

test("what is no size, or more than may be mapped, is refused by its name", (t) => {
  const path = fileOf(t, numbered(1_000));
  using file = mmapFile(path, { mmapSize: "1MB" });
  for (const chunkSize of [0, -1, 1.5, Number.NaN, Infinity, "64", "much", "", "1.1MB", "900TB"]) {
    assert.throws(() => file.iterChunks({ chunkSize }), { code: "invalid_argument", field: "chunkSize" });
  }
  using wide = mmapFile(path, { mmapSize: "64GB" });
  assert.throws(() => wide.iterChunks({ chunkSize: "3GB" }), { field: "chunkSize", remedy: /2 GiB/ });
  assert.throws(() => file.iterChunks({ offset: -1 }), { field: "offset" });
  assert.throws(() => file.iterChunks({ offset: 1_001 }), { field: "offset" });
  assert.throws(() => file.iterChunks({ offset: 1_000, length: 1 }), { field: "length" });
  const options = [
    { mmapSize: 0 },
    { mmapSize: "1KB" },
    { zeroCopy: 1 },
    { memoryMapping: "no" },
    { mmap: true },
  ];
  for (const given of options) {
    const field = Object.keys(given)[0];
    assert.throws(() => mmapFile(path, given as MmapOptions), { code: "invalid_argument", field });
  }
});

test("what is no regular file is refused, without waiting for it", (t) => {
  const path = fileOf(t, 0);
  const pipe = `${path}.pipe`;
  execFileSync("mkfifo", [pipe]);
  mkdirSync(`${path}.dir`);
  assert.throws(() => mmapFile(pipe), {
    code: "invalid_argument",
    field: "path",
    message: /no regular file/,
  });
  assert.throws(() => mmapFile(`${path}.dir`), { code: "invalid_argument", message: /a directory/ });
  assert.throws(() => mmapFile(`${path}.missing`), { code: "not_found", field: "path" });
  assert.throws(() => mmapFile(""), { code: "invalid_argument", field: "path" });
});

/** Runs a program that has `mmapFile` and `path`, and returns what it prints as JSON. */
function inChild(path: string, program: string, flags: readonly string[] = []): unknown {
  const url = JSON.stringify(fileURLToPath(new URL("./mapped-file.js", import.meta.url)));
  const whole = `import { readFileSync } from "node:fs";
    const path = process.argv[1];
    const anonymous = () =>
      Number(/RssAnon:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
    ${program}`;
  const args = [...flags, "--input-type=module", "-e", whole.replaceAll("MODULE", url), path];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

test("where koffi cannot be loaded, the same calls read plainly", (t) => {
  const path = fileOf(t, numbered(200_000));
  const seen = inChild(
    path,
    `const { default: Module } = await import("node:module");
     const load = Module._load;
     Module._load = (id, ...rest) => {
       if (id === "koffi") throw new Error("Cannot find module 'koffi'");
       return load(id, ...rest);
     };
     const { mmapFile } = await import(MODULE);
     const file = mmapFile(path);
     let sum = 0;
     for await (const { bytes } of file.iterChunks({ chunkSize: "50KB" }))
       for (const byte of bytes) sum += byte;
     console.log(JSON.stringify({ sum, dataPath: file.dataPath, reason: file.reason }));`,
  );
  assert.deepEqual(seen, {
    sum: numbered(200_000).reduce((sum, byte) => sum + byte, 0),
    dataPath: "read",
    reason: "plain reads: koffi cannot be loaded: Cannot find module 'koffi'",
  });
});

/** Anonymous memory that going through a file takes, in MiB, in a process with a heap of 64 MiB. */
function growth(path: string, options: MmapOptions, each: string): number {
  const program = `
    const { crc32 } = await import("node:zlib");
    const { mmapFile } = await import(MODULE);
    mmapFile(path, ${JSON.stringify(options)}).close();
    const before = anonymous();
    const file = mmapFile(path, ${JSON.stringify(options)});
    const kept = [];
    let [sum, most] = [0, 0];
    for await (const chunk of file.iterChunks({ chunkSize: "16MB" })) {
      sum = crc32(chunk.bytes, sum);
      ${each}
      most = Math.max(most, anonymous() - before);
    }
    console.log(JSON.stringify(most));`;
  return Number(inChild(path, program, ["--max-old-space-size=64"]));
}

test("memory stays flat over a file that is larger than the heap may become", (t) => {
  if (process.platform !== "linux") return;
  const path = fileOf(t, 512 * 2 ** 20);
  const mapped = growth(path, {}, "");
  assert.ok(mapped < 64, `${mapped} MiB`);
  const read = growth(path, { memoryMapping: false }, "");
  assert.ok(read < 64, `${read} MiB`);
  // What the measure must see: a program that keeps what it went through.
  truncateSync(path, 160_000_000);
  const held = growth(path, { zeroCopy: false }, "kept.push(chunk.bytes);");
  assert.ok(held > 128, `${held} MiB`);
});
