import assert from "node:assert/strict";
import test from "node:test";
import { findFlapping, type Sample, scaleEvents } from "./scaling.js";

const edges = [0, 60_000, 120_000, 180_000];
const at = (...replicas: [seconds: number, replicas: number][]): Sample[] =>
  replicas.map(([seconds, count]) => ({ atMs: seconds * 1000, replicas: count }));

test("one way up and one way down a half wave is no flapping", () => {
  const samples = at([0, 1], [10, 2], [20, 3], [50, 3], [80, 2], [90, 1], [130, 2], [200, 1]);
  assert.deepEqual(findFlapping(samples, edges), []);
  assert.equal(scaleEvents(samples).length, 6);
});

test("replicas that go and come back within a half wave are found", () => {
  const [found, ...more] = findFlapping(at([0, 1], [10, 3], [20, 2], [30, 3], [70, 2]), edges);
  assert.match(found ?? "", /edge 0 the direction changed 2 times: 1→3 after 10 s, 3→2 after 20 s/);
  assert.deepEqual(more, []);
  assert.equal(findFlapping(at([0, 1], [121, 2], [130, 1], [140, 2], [150, 1]), edges).length, 1);
});

test("a replica that comes and goes while the load lasts is found", () => {
  assert.equal(findFlapping(at([0, 1], [10, 2], [30, 1]), edges).length, 1);
  assert.equal(findFlapping(at([0, 2], [70, 1], [90, 2]), edges).length, 1);
});

test("no observation is no proof", () => {
  assert.deepEqual(findFlapping([], edges), ["nothing was observed"]);
});
