import assert from "node:assert/strict";
import { test } from "node:test";
import { createJams } from "./jams.js";

function setUp(placesMax = 2) {
  const told: string[] = [];
  const clock = { now: 0, monotonic: () => clock.now };
  const jams = createJams({ clock, placesMax, onJam: (stream, by) => told.push(`${stream} ${by}`) });
  return { jams, told, clock };
}

test("all of a stream may enter until it is jammed, then one at a time", () => {
  const { jams, clock } = setUp();
  const before = jams.enter("s");
  assert.ok(before !== undefined && jams.enter("s") !== undefined);
  jams.begin("s", "bus:parked");
  assert.equal(jams.enter("s"), undefined, "one was tried a moment ago");
  clock.now += 1_000;
  const tried = jams.enter("s");
  assert.ok(tried);
  assert.equal(jams.enter("s"), undefined);
  before();
  assert.equal(jams.enter("s"), undefined, "who entered before the jam frees no place of it");
  tried();
  assert.ok(jams.enter("s"));
  assert.ok(jams.enter("other"), "another stream is none of it");
});

test("jammed streams together have as many places as they may", () => {
  const { jams, clock } = setUp(2);
  for (const stream of ["a", "b", "c"]) jams.begin(stream, "bus:parked");
  clock.now += 1_000;
  const a = jams.enter("a");
  assert.ok(a !== undefined && jams.enter("b") !== undefined);
  assert.equal(jams.enter("c"), undefined);
  a();
  assert.ok(jams.enter("c"));
});

test("what passes ends the jam of its stream; both are told once", () => {
  const { jams, told } = setUp();
  jams.end("s");
  jams.begin("s", "bus:parked");
  jams.begin("s", "bus:parked");
  jams.end("s");
  jams.end("s");
  assert.deepEqual(told, ["s 1", "s -1"]);
  assert.ok(jams.enter("s") !== undefined && jams.enter("s") !== undefined);
});
