import assert from "node:assert/strict";
import { appendFile, mkdir, rename, symlink, writeFile } from "node:fs/promises";
import test from "node:test";
import { gzipSync } from "node:zlib";
import { limits } from "@millrace/envelope";
import { Kind } from "@millrace/proto/batch";
import { createPool, eventually, setUp } from "../testing.js";
import { wholeBytesMax } from "./whole-framer.js";

const csv = { kind: "csv", delimiter: 44 } as const;

test("rows of a CSV file become objects by the header, in quotes over several lines too", async (t) => {
  const { path, source, rows, buffer } = await setUp(t, {}, { format: csv, pattern: "*.csv" });
  const content = '\ufeffname,"the note",,name\r\nAnna,"a ""b"", c\r\nd",1,2\r\n\r\nBob,,"",x\n';
  await writeFile(path("a.csv"), content);
  source.start();
  await eventually("both rows", () => rows().length === 2);
  assert.deepEqual(
    rows().map((row) => JSON.parse(row) as unknown),
    [
      { name: "Anna", "the note": 'a "b", c\r\nd', column_3: "1", name_2: "2" },
      { name: "Bob", "the note": "", column_3: "", name_2: "x" },
    ],
  );
  assert.deepEqual([...buffer.positions.values()], [Buffer.byteLength(content)]);
  await eventually("drained", () => source.drained());
});

test("a CSV file goes on where it was, its header read again, and rows that come in pieces", async (t) => {
  const { path, source, create, rows, appended } = await setUp(t, {}, { format: csv, pattern: "*.csv" });
  await writeFile(path("a.csv"), "a,");
  source.start();
  await appendFile(path("a.csv"), 'b\n1,"x');
  await appendFile(path("a.csv"), '\ny"\n');
  await eventually("the first row", () => rows().length === 1);
  await source.close();
  await appendFile(path("a.csv"), "2,z");
  const again = create();
  t.after(() => again.close());
  again.start();
  await eventually("the last row, without a line feed", () => rows().length === 2);
  assert.deepEqual(rows(), ['{"a":"1","b":"x\\ny"}', '{"a":"2","b":"z"}']);
  assert.equal(appended.at(-1)?.from, appended.at(-2)?.to);
});

test("bad rows are rejected with a reason, and those around them pass", async (t) => {
  const { path, source, rows, buffer } = await setUp(t, {}, { format: csv, pattern: "*.csv" });
  const bad = Buffer.concat([Buffer.from("4,"), Buffer.from([0xff, 0x0a])]);
  const long = `5,"${"y".repeat(1_600_000)}"\n`;
  const lines = ["a,b\n1,2\n", "only one\n", "2,3\n", '3,"x"y\n', bad, long, "6,7\n", '8,"never closed\n'];
  await writeFile(path("a.csv"), Buffer.concat(lines.map((line) => Buffer.from(line))));
  source.start();
  await eventually("the last one too", () => buffer.reasons.length === 5);
  assert.deepEqual(rows(), ['{"a":"1","b":"2"}', '{"a":"2","b":"3"}', '{"a":"6","b":"7"}']);
  assert.deepEqual(buffer.reasons, [
    "a row has not as many fields as the header",
    "text behind a closing quote",
    "a row is not UTF-8",
    "a row is above the size limit of a message",
    "a quote is not closed",
  ]);
});

test("a compressed file is decoded once it is complete, in any number of members, and resumes", async (t) => {
  const { path, source, create, texts, buffer, appended } = await setUp(t, {}, { pattern: "**/*.gz" });
  const lines = Array.from({ length: 50_000 }, (_, index) => `line ${index} ${"x".repeat(index % 50)}\n`);
  const half = lines.slice(0, 25_000).join("");
  const whole = Buffer.concat([gzipSync(half), gzipSync(lines.slice(25_000).join(""))]);
  await mkdir(path("deep/er"), { recursive: true });
  const name = "deep/er/a.jsonl.gz";
  await writeFile(path(name), whole.subarray(0, whole.length - 100));
  source.start();
  await eventually("told", () => /not a whole gzip file/.test(source.status().lastError ?? ""));
  assert.equal(texts().length, 0);
  await writeFile(path("aside"), whole);
  await rename(path("aside"), path(name));
  await eventually("all of it", () => texts().join("").length === lines.join("").length);
  assert.equal(texts().join(""), lines.join(""));
  await source.close();
  // As if half of it were appended when it was killed.
  const [key = ""] = appended.slice(-1).map((each) => each.key);
  buffer.positions.set(key, half.length);
  const before = appended.length;
  const again = create();
  t.after(() => again.close());
  again.start();
  await eventually("the rest", () => again.drained());
  assert.equal(texts().slice(before).join(""), lines.slice(25_000).join(""));
});

test("a bomb is refused while it is decoded", async (t) => {
  const { path, source, texts } = await setUp(t, {}, { pattern: "*.gz" });
  await writeFile(path("bomb.gz"), gzipSync(Buffer.alloc(100 * 1024 * 1024)));
  source.start();
  await eventually("told", () => /more than 100 times its size/.test(source.status().lastError ?? ""));
  assert.equal(texts().length, 0);
});

const wholeFiles = { format: { kind: "whole" }, pattern: "*", pool: createPool(8, wholeBytesMax) } as const;

test("a whole file is one message, text, data or image, once it is at rest", async (t) => {
  const { path, source, appended } = await setUp(t, {}, wholeFiles);
  await writeFile(path("a.txt"), "one\ntwo");
  await writeFile(path("b.bin"), Buffer.from([1, 0, 0xff]));
  await writeFile(path("d.txt.gz"), gzipSync("packed"));
  await writeFile(path("e.txt"), Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0x0a]));
  source.start();
  await eventually("all", () => appended.length === 4);
  const found = appended.map(({ name, text, kind }) => [name, text.length, kind]).sort();
  assert.deepEqual(found, [
    ["a.txt", 7, Kind.KIND_TEXT],
    ["b.bin", 3, Kind.KIND_DATA],
    ["d.txt.gz", 6, Kind.KIND_TEXT],
    ["e.txt", appended.find(({ name }) => name === "e.txt")?.text.length, Kind.KIND_IMAGE],
  ]);
  await appendFile(path("a.txt"), "more");
  await eventually("it is another message", () => appended.length === 5);
  assert.deepEqual([appended[4]?.text, appended[4]?.from], ["one\ntwomore", 0]);
});

/** Bytes that begin as said and hold no two equal pieces. */
function filled(bytes: number, start: string): Buffer {
  const content = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) content.writeUInt32LE(at, at);
  content.write(start, "latin1");
  return content;
}

test("large files pass whole up to the limit of their kind, also read in small pieces", async (t) => {
  const { path, source, appended, buffer } = await setUp(t, {}, wholeFiles);
  const files: [string, Buffer, Kind][] = [
    ["a.jpg", filled(limits.imageBytesMax, "\xff\xd8\xff"), Kind.KIND_IMAGE],
    ["b.bin", filled(limits.dataBytesMax, "\0"), Kind.KIND_DATA],
    ["c.txt", Buffer.alloc(limits.messageBytesMax, "é"), Kind.KIND_TEXT],
  ];
  for (const [name, content] of files) await writeFile(path(name), content);
  source.start();
  await eventually("all", () => appended.length === 3);
  appended.sort((one, other) => (one.name < other.name ? -1 : 1));
  for (const [index, [name, content, kind]] of files.entries()) {
    const { text, ...found } = appended[index] ?? assert.fail(name);
    assert.deepEqual([found.name, found.kind, found.to], [name, kind, content.length]);
    assert.ok(text === content.toString(), name);
  }
  assert.deepEqual(buffer.reasons, []);
});

test("a file above the limit of its kind is rejected with what to do, others pass", async (t) => {
  const { path, source, rows, buffer } = await setUp(t, {}, wholeFiles);
  await writeFile(path("a.jpg"), filled(limits.imageBytesMax + 1, "\xff\xd8\xff"));
  await writeFile(path("b.bin"), filled(limits.dataBytesMax + 1, "\0"));
  await writeFile(path("c.txt"), "z".repeat(limits.messageBytesMax + 1));
  // Cut in the middle of a letter it is text all the same.
  await writeFile(path("d.txt"), `x${"é".repeat(wholeBytesMax / 2)}`);
  await writeFile(path("e.txt"), "short");
  source.start();
  await eventually("all", () => buffer.reasons.length === 4 && rows().length === 1);
  const text = "a text file is above 768 KiB: take it by lines, or with onLargeFile of the SDK";
  assert.deepEqual(buffer.reasons.sort(), [
    "a data file is above 4 MiB: take it with onLargeFile of the SDK",
    text,
    text,
    "an image file is above 8 MiB: make it smaller",
  ]);
  assert.deepEqual(rows(), ["short"]);
  await eventually("drained", () => source.drained());
});

test("a link out of the directory is not followed, at any depth", async (t) => {
  const { path, directory, source, texts } = await setUp(t, {}, { pattern: "**/*.jsonl" });
  await mkdir(path("in"));
  await mkdir(path("aside"));
  await writeFile(path("in/a.jsonl"), "inside\n");
  await symlink("/etc", path("in/etc"));
  await symlink("/etc/hostname", path("in/b.jsonl"));
  await symlink(directory, path("in/loop"));
  source.start();
  await eventually("the file", () => texts().length === 1);
  await eventually("told", () => /symbolic link/.test(source.status().lastError ?? ""));
  assert.deepEqual(texts(), ["inside\n"]);
});
