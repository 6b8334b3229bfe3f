import assert from "node:assert/strict";
import test from "node:test";
import { type Component, createLifecycle } from "./lifecycle.js";
import { silentLogger } from "./logger.js";

function part(name: string, told: string[], over: Partial<Component> = {}): Component {
  return {
    name,
    start: async () => void told.push(`start ${name}`),
    stop: async () => void told.push(`stop ${name}`),
    ...over,
  };
}

test("components start in order and stop in reverse", async () => {
  const told: string[] = [];
  const lifecycle = createLifecycle([part("a", told), part("b", told), part("c", told)], silentLogger);
  assert.equal(lifecycle.state(), "new");
  await lifecycle.start();
  assert.equal(lifecycle.state(), "running");
  await lifecycle.stop(1_000);
  assert.equal(lifecycle.state(), "stopped");
  assert.deepEqual(told, ["start a", "start b", "start c", "stop c", "stop b", "stop a"]);
});

test("when one does not start, those before it are stopped and the state is failed", async () => {
  const told: string[] = [];
  const broken = part("b", told, { start: () => Promise.reject(new Error("no")) });
  const lifecycle = createLifecycle([part("a", told), broken, part("c", told)], silentLogger);
  await assert.rejects(lifecycle.start(), { code: "internal", message: "start b: no" });
  await lifecycle.stop(1_000);
  assert.deepEqual(told, ["start a", "stop b", "stop a"]);
  assert.equal(lifecycle.state(), "failed");
});

test("one that does not stop in order does not keep the others from it", async () => {
  const told: string[] = [];
  const broken = part("b", told, { stop: () => Promise.reject(new Error("no")) });
  const lifecycle = createLifecycle([part("a", told), broken], silentLogger);
  await lifecycle.start();
  await lifecycle.stop(1_000);
  assert.deepEqual(told, ["start a", "start b", "stop a"]);
});

test("past the drain timeout components must give up, and one that does not is left behind", async () => {
  const told: string[] = [];
  const obedient = part("obedient", told, {
    stop: (hard) =>
      new Promise((resolve) => {
        hard.addEventListener("abort", () => {
          told.push("gave up");
          resolve();
        });
      }),
  });
  const deaf = part("deaf", told, { stop: () => new Promise(() => undefined) });
  const lifecycle = createLifecycle([part("a", told), deaf, obedient], silentLogger);
  await lifecycle.start();
  await lifecycle.stop(10);
  assert.deepEqual(told.slice(-2), ["gave up", "stop a"]);
  assert.equal(lifecycle.state(), "stopped");
});

test("stopped while it is starting, it starts nothing more and does not call itself running", async () => {
  const told: string[] = [];
  let begun: (() => void) | undefined;
  const slow = part("slow", told, { start: () => new Promise((resolve) => (begun = resolve)) });
  const lifecycle = createLifecycle([part("a", told), slow, part("c", told)], silentLogger);
  const starting = lifecycle.start();
  await new Promise((resolve) => setImmediate(resolve));
  const stopping = lifecycle.stop(1_000);
  begun?.();
  await Promise.all([starting, stopping]);
  assert.deepEqual(told, ["start a", "stop slow", "stop a"]);
  assert.equal(lifecycle.state(), "stopped");
});

test("it is well when running and every component is well", async () => {
  let sentence: string | undefined = "not connected";
  const lifecycle = createLifecycle([{ name: "broker", health: () => sentence }], silentLogger);
  assert.deepEqual([...lifecycle.unhealthy()], [["lifecycle", "state is new"]]);
  await lifecycle.start();
  assert.deepEqual([...lifecycle.unhealthy()], [["broker", "not connected"]]);
  sentence = undefined;
  assert.equal(lifecycle.unhealthy().size, 0);
});
