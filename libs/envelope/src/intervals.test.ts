import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createIntervalSet, type Interval, type IntervalSet } from "./intervals.js";

const positionMax = 60;
const anyInterval = fc
  .tuple(fc.nat(positionMax), fc.nat(12))
  .map(([from, length]): Interval => ({ from, to: from + length }));
const anyAction = fc.record({ kind: fc.constantFrom("add", "remove"), interval: anyInterval });

function members({ from, to }: Interval): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

/** The intervals in canonical form that hold exactly these integers. */
function intervalsOf(model: Iterable<number>): Interval[] {
  const found: Interval[] = [];
  for (const position of [...model].sort((a, b) => a - b)) {
    const last = found.at(-1);
    if (last?.to === position) last.to += 1;
    else found.push({ from: position, to: position + 1 });
  }
  return found;
}

function replay(actions: readonly { kind: string; interval: Interval }[]): [IntervalSet, Set<number>] {
  const set = createIntervalSet();
  const model = new Set<number>();
  for (const { kind, interval } of actions) {
    if (kind === "add") {
      set.add(interval);
      for (const position of members(interval)) model.add(position);
    } else {
      set.remove(interval);
      for (const position of members(interval)) model.delete(position);
    }
  }
  return [set, model];
}

test("an interval set holds what a set of integers holds, in canonical form", () => {
  fc.assert(
    fc.property(fc.array(anyAction, { maxLength: 40 }), (actions) => {
      const [set, model] = replay(actions);
      assert.deepEqual(set.intervals(), intervalsOf(model));
      assert.equal(set.total(), model.size);
      for (let position = 0; position <= positionMax + 12; position += 1) {
        assert.equal(set.has(position), model.has(position));
      }
    }),
  );
});

test("an interval splits into what is missing and what is held", () => {
  fc.assert(
    fc.property(fc.array(anyAction, { maxLength: 20 }), anyInterval, (actions, probe) => {
      const [set, model] = replay(actions);
      const missing = members(probe).filter((position) => !model.has(position));
      const overlap = members(probe).filter((position) => model.has(position));
      assert.deepEqual(set.missing(probe), intervalsOf(missing));
      assert.deepEqual(set.overlap(probe), intervalsOf(overlap));
    }),
  );
});

test("a union holds the members of both sets", () => {
  fc.assert(
    fc.property(fc.array(anyInterval), fc.array(anyInterval), (left, right) => {
      const set = createIntervalSet(left);
      set.addAll(createIntervalSet(right).intervals());
      assert.deepEqual(set.intervals(), intervalsOf(new Set([...left, ...right].flatMap(members))));
    }),
  );
});

test("what is handed out is a copy", () => {
  const set = createIntervalSet([{ from: 1, to: 3 }]);
  for (const interval of set.intervals()) interval.to = 100;
  assert.equal(set.total(), 2);
});

test("an interval that ends before it begins is our own bug", () => {
  assert.throws(() => createIntervalSet([{ from: 3, to: 1 }]), /does not end before it begins/);
  assert.throws(() => createIntervalSet([{ from: 0.5, to: 1 }]), /integer ends/);
});
