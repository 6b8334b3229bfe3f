import assert from "node:assert/strict";
import { test } from "node:test";
import { CodedError } from "@millrace/errors";
import fc from "fast-check";
import { type BlockShare, createBlockPool } from "../block-pool.js";
import { type FileBytes, readFrames } from "../file-reader.js";
import {
  createLineFramer,
  type FramedItem,
  type FrameLimits,
  type LineFramer,
  positionDeltas,
} from "./line-framer.js";

const small: FrameLimits = { countMax: 4, bodyBytesMax: 40, messageBytesMax: 20, prefixBytesMax: 5 };

/** A file in memory whose reads return as many bytes as `sizes` says, in turn. */
function fileOf(content: Buffer, sizes: readonly number[] = [Number.MAX_SAFE_INTEGER]): FileBytes {
  let turn = 0;
  return {
    read: async (target, offset, length, position) => {
      const size = sizes[turn++ % sizes.length] ?? length;
      const bytesRead = content.copy(target, offset, position, position + Math.min(length, size));
      return { bytesRead };
    },
  };
}

/** Blocks for one reader, and how many of them are out; each is overwritten as soon as it is given back. */
function countingPool(limits: FrameLimits, readBytes = limits.bodyBytesMax) {
  const headBytes = limits.messageBytesMax;
  const options = { headBytes, readBytes, smallReadBytes: readBytes, bytesMax: 1 << 30 };
  const share = createBlockPool(options).share();
  let taken = 0;
  const take: BlockShare["take"] = async (...of) => {
    const block = await share.take(...of);
    if (block === undefined) return undefined;
    taken++;
    const release = (): void => {
      taken--;
      block.bytes.fill("!");
      block.release();
    };
    return { ...block, release };
  };
  return { pool: { ...share, take }, taken: () => taken };
}

interface Reading {
  framer?: LineFramer;
  limits?: FrameLimits;
  from?: number;
  to?: number;
  sizes?: readonly number[];
  readBytes?: number;
  flushTail?: boolean;
}

/** Everything a reading yields, with bodies copied. */
async function readAll(content: Buffer, options: Reading = {}): Promise<FramedItem[]> {
  const { limits = small, from = 0, to = content.length, sizes, readBytes = 32, flushTail = true } = options;
  const { pool } = countingPool(limits, readBytes);
  const framer = options.framer ?? createLineFramer(limits, from);
  const range = { to, flushTail };
  const { signal } = new AbortController();
  const items: FramedItem[] = [];
  const held: (() => void)[] = [];
  for await (const leased of readFrames(fileOf(content, sizes), framer, { pool, range, signal })) {
    const { item } = leased;
    items.push(item.kind === "frame" ? { ...item, body: new Uint8Array(item.body) } : item);
    held.push(leased.release);
    if (held.length > 2) held.shift()?.();
  }
  for (const release of held) release();
  return items;
}

interface Line {
  position: number;
  text: string;
  rejected: boolean;
}

/** Takes frames apart by the rules of LINES framing alone. */
function linesOf(items: readonly FramedItem[]): Line[] {
  return items.flatMap((item): Line[] => {
    if (item.kind === "rejection") {
      return [{ position: item.positionFrom, text: Buffer.from(item.prefix).toString(), rejected: true }];
    }
    let offset = 0;
    let position = item.positionFrom;
    const deltas = positionDeltas(item);
    return Array.from(item.lengths, (length, row) => {
      const line = {
        position,
        text: Buffer.from(item.body).toString("utf8", offset, offset + length),
        rejected: false,
      };
      assert.equal(item.body[offset + length], 0x0a);
      offset += length + 1;
      position += deltas[row] ?? Number.NaN;
      if (row === item.count - 1) {
        assert.equal(offset, item.body.length);
        assert.equal(position, item.positionTo);
      }
      return line;
    });
  });
}

/** The same lines, by splitting the text. */
function expectedLines(text: string, limits: FrameLimits): Line[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  let position = 0;
  return lines.map((line) => {
    const rejected = line.length > limits.messageBytesMax;
    const expected = { position, text: rejected ? line.slice(0, limits.prefixBytesMax) : line, rejected };
    position += line.length + 1;
    return expected;
  });
}

const fileText = fc
  .array(fc.oneof(fc.string({ unit: fc.constantFrom("a", "b", "\r"), maxLength: 70 }), fc.constant("")), {
    maxLength: 60,
  })
  .chain((lines) => fc.boolean().map((ends) => lines.join("\n") + (ends && lines.length > 0 ? "\n" : "")));
const readSizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 });

test("any chunking of reads gives the same lines at the same positions, within the limits", async () => {
  await fc.assert(
    fc.asyncProperty(fileText, readSizes, fc.integer({ min: 1, max: 80 }), async (text, sizes, readBytes) => {
      const items = await readAll(Buffer.from(text), { sizes, readBytes });
      assert.deepEqual(linesOf(items), expectedLines(text, small));
      let position = 0;
      for (const item of items) {
        assert.equal(item.positionFrom, position);
        position = item.positionTo;
        if (item.kind === "rejection") continue;
        assert.ok(item.count > 0 && item.count <= small.countMax && item.count === item.lengths.length);
        assert.ok(item.body.length <= small.bodyBytesMax);
      }
      assert.equal(position, text.length);
    }),
    { numRuns: 500 },
  );
});

test("a file read as it grows gives the same lines as one read at once", async () => {
  await fc.assert(
    fc.asyncProperty(fileText, readSizes, async (text, steps) => {
      const content = Buffer.from(text);
      const framer = createLineFramer(small, 0);
      const items: FramedItem[] = [];
      for (let to = 0, turn = 0; to < content.length; turn++) {
        to = Math.min(content.length, to + (steps[turn % steps.length] ?? 1));
        items.push(...(await readAll(content, { framer, to, flushTail: to === content.length })));
      }
      assert.deepEqual(linesOf(items), expectedLines(text, small));
    }),
    { numRuns: 300 },
  );
});

test("reading resumes at the start of any line", async () => {
  const text = "one\n\ntwo\r\nthree\n";
  for (const { position } of expectedLines(text, small)) {
    const lines = linesOf(await readAll(Buffer.from(text), { from: position }));
    assert.deepEqual(
      lines,
      expectedLines(text, small).filter((line) => line.position >= position),
    );
  }
});

test("a CR is content and a blank line is a message of length 0", async () => {
  const [frame] = await readAll(Buffer.from("a\r\n\nb\n"));
  assert.ok(frame?.kind === "frame");
  assert.deepEqual([...frame.lengths], [2, 0, 1]);
  assert.equal(Buffer.from(frame.body).toString(), "a\r\n\nb\n");
  assert.deepEqual([...positionDeltas(frame)], [3, 1, 2]);
});

test("an incomplete last line is kept back until the file has come to rest", async () => {
  const content = Buffer.from("one\ntwo");
  const framer = createLineFramer(small, 0);
  assert.deepEqual(
    linesOf(await readAll(content, { framer, flushTail: false })).map((line) => line.text),
    ["one"],
  );
  assert.equal(framer.framedTo, 4);
  const [tail] = await readAll(content, { framer, flushTail: true });
  assert.ok(tail?.kind === "frame");
  assert.equal(tail.unterminated, true);
  assert.equal(Buffer.from(tail.body).toString(), "two\n");
  assert.deepEqual([tail.positionFrom, tail.positionTo, ...positionDeltas(tail)], [4, 7, 3]);
});

test("a line of the largest size is a message and one byte more is a rejection", async () => {
  const items = await readAll(Buffer.from(`${"x".repeat(20)}\n${"y".repeat(21)}\nz\n`));
  assert.deepEqual(
    items.map((item) => [item.kind, item.positionFrom, item.positionTo]),
    [
      ["frame", 0, 21],
      ["rejection", 21, 43],
      ["frame", 43, 45],
    ],
  );
  const rejection = items[1];
  assert.ok(rejection?.kind === "rejection");
  assert.equal(Buffer.from(rejection.prefix).toString(), "yyyyy");
  assert.equal(rejection.truncatedBytes, 16);
});

test("a line of 64 MiB is passed over in two blocks of memory", async () => {
  const lineBytes = 64 << 20;
  const { pool, taken } = countingPool({ ...small, messageBytesMax: 768 << 10 });
  let takenMax = 0;
  const file: FileBytes = {
    read: async (target, offset, length, position) => {
      takenMax = Math.max(takenMax, taken());
      target.fill("x", offset, offset + length);
      if (position + length > lineBytes) target[offset + lineBytes - position] = 0x0a;
      return { bytesRead: length };
    },
  };
  const limits = {
    countMax: 8192,
    bodyBytesMax: 1 << 20,
    messageBytesMax: 768 << 10,
    prefixBytesMax: 64 << 10,
  };
  const framer = createLineFramer(limits, 0);
  const range = { to: lineBytes + 1, flushTail: false };
  const items: FramedItem[] = [];
  const { signal } = new AbortController();
  for await (const { item } of readFrames(file, framer, { pool, range, signal })) items.push(item);
  const [rejection] = items;
  assert.ok(rejection?.kind === "rejection" && items.length === 1);
  assert.deepEqual([rejection.positionFrom, rejection.positionTo], [0, lineBytes + 1]);
  assert.equal(rejection.prefix.length + rejection.truncatedBytes, lineBytes);
  assert.equal(rejection.prefix.length, 64 << 10);
  assert.ok(takenMax <= 2, `${takenMax} blocks`);
});

test("small remainders ride with the next block instead of making frames of a line", async () => {
  const limits = {
    countMax: 8192,
    bodyBytesMax: 1 << 20,
    messageBytesMax: 768 << 10,
    prefixBytesMax: 64 << 10,
  };
  const lines = Buffer.from(`${"x".repeat(1023)}\n`.repeat(8 << 10));
  const items = await readAll(lines.subarray(0, lines.length - 1), { limits, readBytes: (1 << 20) + 100 });
  const sizes = items.map((item) => (item.kind === "frame" ? item.count : 0));
  assert.deepEqual(sizes, [1024, 1024, 1024, 1024, 1024, 1024, 1024, 1023, 1]);
});

test("a file that ends before its size is truncated", async () => {
  await assert.rejects(
    readAll(Buffer.from("one\n"), { to: 10 }),
    (error) => error instanceof CodedError && error.message.startsWith("truncated: the file ends at byte 4"),
  );
});

test("a read that is aborted yields nothing more and gives its blocks back", async () => {
  const stop = new AbortController();
  const { pool, taken } = countingPool(small, 8);
  const content = Buffer.from("one\ntwo\n".repeat(10));
  const options = { pool, range: { to: content.length, flushTail: true }, signal: stop.signal };
  const seen: FramedItem[] = [];
  for await (const { item, release } of readFrames(fileOf(content), createLineFramer(small, 0), options)) {
    seen.push(item);
    release();
    stop.abort();
  }
  assert.equal(seen.length, 1);
  assert.equal(taken(), 0);
});
