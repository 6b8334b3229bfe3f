import assert from "node:assert/strict";
import test from "node:test";
import {
  type Arrived,
  findAboveCap,
  findAltered,
  findDuplicated,
  findLost,
  findOutOfOrder,
  type Sent,
} from "./checkers.js";

const sent: Sent[] = Array.from({ length: 100 }, (_, n) => ({
  id: `m${n}`,
  source: n % 2 === 0 ? "even" : "odd",
  position: n,
  content: `content ${n}`,
  acknowledged: n !== 99,
}));
const arrived: Arrived[] = sent.map(({ id, content }) => ({ id, content }));
const faults = (history: { sent: Sent[]; arrived: Arrived[]; dead?: string[] }) => ({
  lost: findLost(history),
  duplicated: findDuplicated(history),
  altered: findAltered(history),
  outOfOrder: findOutOfOrder(history),
});
const none = { lost: [], duplicated: [], altered: [], outOfOrder: [] };

test("a run without damage is passed, also when sources are interleaved otherwise", () => {
  assert.deepEqual(faults({ sent, arrived }), none);
  const bySource = [...arrived].sort((a, b) => (Number(a.id.slice(1)) % 2) - (Number(b.id.slice(1)) % 2));
  assert.deepEqual(faults({ sent, arrived: bySource }), none);
});

test("one dropped message is lost, unless it is in the dead letters or was never acknowledged", () => {
  const dropped = arrived.toSpliced(41, 1);
  assert.deepEqual(faults({ sent, arrived: dropped }), { ...none, lost: ["m41"] });
  assert.deepEqual(faults({ sent, arrived: dropped, dead: ["m41"] }), none);
  assert.deepEqual(faults({ sent, arrived: arrived.slice(0, 99) }), none);
});

test("one repeated message is a duplicate, and no disorder", () => {
  assert.deepEqual(faults({ sent, arrived: [...arrived, ...arrived.slice(7, 8)] }), {
    ...none,
    duplicated: ["m7"],
  });
});

test("one changed byte, and a message that nobody sent, are altered", () => {
  const changed = arrived.map((one) => (one.id === "m3" ? { ...one, content: "content 3\u0000" } : one));
  assert.deepEqual(faults({ sent, arrived: changed }), { ...none, altered: ["m3"] });
  assert.deepEqual(faults({ sent, arrived: [...arrived, { id: "x", content: "" }] }), {
    ...none,
    altered: ["x"],
  });
});

test("two messages of one source that swap are out of order", () => {
  const swapped = arrived.toSpliced(10, 1).toSpliced(12, 0, ...arrived.slice(10, 11));
  assert.deepEqual(faults({ sent, arrived: swapped }), { ...none, outOfOrder: ["m10"] });
});

test("a figure above the cap, one that was not measured, and none at all are told", () => {
  const figures = [
    { name: "gateway", value: 120 },
    { name: "buffer", value: 300 },
  ];
  assert.deepEqual(findAboveCap(figures, 300), []);
  assert.deepEqual(findAboveCap(figures, 299), ["buffer: 300"]);
  assert.deepEqual(findAboveCap([{ name: "gateway", value: 0 }], 300), ["gateway: 0"]);
  assert.equal(findAboveCap([], 300).length, 1);
});
