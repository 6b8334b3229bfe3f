import assert from "node:assert/strict";
import { test } from "node:test";
import { createTurnOrder, type TurnOrder } from "./turn-order.js";

/** Which lane goes, turn by turn, while the same lanes keep waiting. */
function turns(order: TurnOrder, waits: readonly boolean[], count: number): number[] {
  return Array.from({ length: count }, () => order.next(waits));
}

function count(served: readonly number[], lane: number): number {
  return served.filter((each) => each === lane).length;
}

test("an earlier lane goes first, and a later one where nothing else waits", () => {
  const order = createTurnOrder(2);
  assert.deepEqual(turns(order, [true, true], 8), [0, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal(order.next([false, true]), 1);
  assert.equal(order.next([false, false]), -1);
  assert.equal(order.next([true, false]), 0);
});

test("a later lane that is always passed over has every ninth turn, and no more", () => {
  const served = turns(createTurnOrder(2), [true, true], 900);
  assert.equal(count(served, 1), 100);
  for (let at = 1; at < served.length; at++) {
    assert.ok(!(served[at] === 1 && served[at - 1] === 1), "high never waits for two in a row");
  }
});

test("of three lanes none is starved", () => {
  const served = turns(createTurnOrder(3), [true, true, true], 9_000);
  for (const lane of [1, 2]) {
    const at = served.flatMap((each, turn) => (each === lane ? [turn] : []));
    assert.ok(at.length > 800, `lane ${lane} goes`);
    const gaps = at.slice(1).map((turn, index) => turn - (at[index] ?? 0));
    assert.ok(Math.max(...gaps) <= 11, `lane ${lane} waits for ${Math.max(...gaps)} turns`);
  }
  assert.ok(count(served, 0) > 6_500);
});

test("who came late has no turns saved up", () => {
  const order = createTurnOrder(2);
  turns(order, [true, false], 100);
  assert.deepEqual(turns(order, [true, true], 9), [0, 0, 0, 0, 0, 0, 0, 0, 1]);
});
