import assert from "node:assert/strict";
import { test } from "node:test";
import { createIntervalSet } from "@millrace/envelope";
import { Framing } from "@millrace/proto/batch";
import fc from "fast-check";
import { chooseRows, keyedIds, rowsOf } from "./choose-rows.js";
import { encodeLines } from "./encode-lines.js";
import { makeBatch } from "./faults/make-batch.js";

const packed = { framing: Framing.FRAMING_PACKED };

test("a batch of lines is written as it lies, without a copy", () => {
  const batch = makeBatch(["one", "two", ""]);
  const { bytes, rejected } = encodeLines(batch, [{ from: 0, to: 3 }]);
  assert.equal(bytes[0]?.buffer, batch.body.buffer);
  assert.equal(Buffer.concat(bytes).toString(), "one\ntwo\n\n");
  assert.deepEqual(rejected, []);
});

test("only the rows that are left go into the file", () => {
  const { bytes } = encodeLines(makeBatch(["a", "b", "c", "d"]), [
    { from: 0, to: 1 },
    { from: 2, to: 4 },
  ]);
  assert.equal(Buffer.concat(bytes).toString(), "a\nc\nd\n");
});

test("packed messages become lines, and those with a line feed are rejected", () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: fc.constantFrom("a", "é", "\n", " ") }), { minLength: 1 }),
      (texts) => {
        const { bytes, runs, rejected } = encodeLines(makeBatch(texts, packed), [
          { from: 0, to: texts.length },
        ]);
        const rows = [...texts.keys()];
        assert.deepEqual(
          rejected,
          rows.filter((row) => texts[row]?.includes("\n")),
        );
        const kept = rows.filter((row) => !texts[row]?.includes("\n"));
        assert.deepEqual([...rowsOf(runs)], kept);
        assert.equal(Buffer.concat(bytes).toString(), kept.map((row) => `${texts[row]}\n`).join(""));
      },
    ),
  );
});

test("a body that doesn't keep to its framing is refused", () => {
  const batch = makeBatch(["one"]);
  assert.throws(() => encodeLines({ ...batch, body: Buffer.from("oneX") }, [{ from: 0, to: 1 }]), {
    code: "data_loss",
  });
});

test("rows are chosen by position and by the id that a client gave", () => {
  const batch = makeBatch(["a", "b", "c", "d"], {
    positionFrom: 10,
    positionDeltas: [5, 5, 5, 5],
    ids: [0, 7, 7, 8],
  });
  const taken = createIntervalSet([{ from: 10, to: 15 }]);
  const eight = "8".padStart(32, "0");
  const choice = chooseRows(batch, taken, { ids: keyedIds(batch), isSeen: (id) => id === eight });
  assert.deepEqual(choice, { runs: [{ from: 1, to: 2 }], settled: 1, repeated: [2, 3] });
});
