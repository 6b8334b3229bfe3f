import assert from "node:assert/strict";
import test from "node:test";
import { crc32, deflateRawSync, gzipSync } from "node:zlib";
import { findEntry, readTarGz, readZip } from "./archive.js";

test("a zip entry is unpacked, deflated or stored", () => {
  const archive = zip([
    { name: "pkg/a.txt", bytes: Buffer.from("alpha".repeat(100)), deflate: true },
    { name: "pkg/b.bin", bytes: Buffer.from([0, 1, 2, 255]), deflate: false },
  ]);
  const entries = readZip(archive);
  assert.deepEqual(
    entries.map((entry) => entry.name),
    ["pkg/a.txt", "pkg/b.bin"],
  );
  assert.equal(Buffer.from(findEntry(entries, "/a.txt").read()).toString(), "alpha".repeat(100));
  assert.deepEqual([...findEntry(entries, "/b.bin").read()], [0, 1, 2, 255]);
});

test("a zip whose data was changed is refused", () => {
  const archive = zip([{ name: "b", bytes: Buffer.from("stored text"), deflate: false }]);
  archive[30 + 1 + 3] = 0x58;
  assert.throws(() => readZip(archive)[0]?.read(), { code: "data_loss", message: /checksum/ });
});

test("a zip that was cut short is refused at each length", () => {
  const archive = zip([{ name: "a", bytes: Buffer.from("alpha".repeat(9)), deflate: true }]);
  for (let length = 0; length < archive.length; length++) {
    assert.throws(
      () => readZip(archive.subarray(0, length)).map((entry) => entry.read()),
      { code: "data_loss" },
      `cut at ${length}`,
    );
  }
});

test("a deflated entry that unpacks to more than it declares is refused", () => {
  const archive = zip([{ name: "bomb", bytes: Buffer.alloc(100_000), deflate: true, declared: 10 }]);
  assert.throws(() => readZip(archive)[0]?.read(), { code: "data_loss" });
});

test("the files of a gzipped tar are listed with their bytes", () => {
  const archive = gzipSync(tar([{ name: "dir/tool", bytes: Buffer.from("#!binary") }]));
  const entry = findEntry(readTarGz(archive), "/tool");
  assert.equal(Buffer.from(entry.read()).toString(), "#!binary");
});

test("a damaged tar header and a truncated gzip are refused", () => {
  const plain = tar([{ name: "dir/tool", bytes: Buffer.from("#!binary") }]);
  assert.throws(() => readTarGz(gzipSync(plain).subarray(0, 40)), { code: "data_loss" });
  plain[0] = 0x58;
  assert.throws(() => readTarGz(gzipSync(plain)), { code: "data_loss", message: /checksum/ });
});

test("an entry that is absent or there twice is not guessed", () => {
  const entries = [entry("x/one"), entry("y/one")];
  assert.throws(() => findEntry(entries, "/one"), { message: /several files/ });
  assert.throws(() => findEntry(entries, "/two"), { message: /no file/ });
});

function entry(name: string) {
  return { name, size: 0, read: () => new Uint8Array() };
}

interface ZipFile {
  name: string;
  bytes: Buffer;
  deflate: boolean;
  declared?: number;
}

function zip(files: ZipFile[]): Buffer {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const file of files) {
    const packed = file.deflate ? deflateRawSync(file.bytes) : file.bytes;
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(file.deflate ? 8 : 0, 4);
    fields.writeUInt32LE(crc32(file.bytes), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(file.declared ?? file.bytes.length, 18);
    fields.writeUInt16LE(file.name.length, 22);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    central.push(Buffer.from("PK\x01\x02\x14\x00", "latin1"), fields, tail, Buffer.from(file.name));
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), fields, Buffer.from(file.name), packed]);
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}

function tar(files: { name: string; bytes: Buffer }[]): Buffer {
  const parts = files.flatMap(({ name, bytes }) => {
    const header = Buffer.alloc(512);
    header.write(name);
    header.write(bytes.length.toString(8).padStart(11, "0"), 124);
    header.write("        0ustar", 148);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    return [header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}
