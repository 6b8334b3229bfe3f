import assert from "node:assert/strict";
import test from "node:test";
import { findAltered, findLost } from "./checkers.js";
import { type Operation, readOperations } from "./operations.js";

const invoke = (id: string, position: number): Operation => ({
  at: position,
  kind: "invoke",
  id,
  source: "s",
  position,
  content: `content ${id}`,
});
const written = (...operations: Operation[]): string =>
  operations.map((operation) => `${JSON.stringify(operation)}\n`).join("");

const history = written(
  invoke("kept", 0),
  invoke("refused", 1),
  { at: 2, kind: "ok", id: "kept" },
  invoke("open", 2),
  { at: 3, kind: "fail", id: "refused" },
  invoke("cut", 3),
  { at: 4, kind: "unknown", id: "cut" },
);

test("what got its OK must arrive, what has no outcome may, what was refused must not", () => {
  const sent = readOperations(history);
  assert.deepEqual(
    sent.map(({ id, acknowledged }) => [id, acknowledged]),
    [
      ["kept", true],
      ["open", false],
      ["cut", false],
    ],
  );
  assert.deepEqual(findLost({ sent, arrived: [] }), ["kept"]);
  assert.deepEqual(findAltered({ sent, arrived: [{ id: "cut", content: "content cut" }] }), []);
  assert.deepEqual(findAltered({ sent, arrived: [{ id: "refused", content: "content refused" }] }), [
    "refused",
  ]);
});

test("a history that contradicts itself is refused", () => {
  const twice = written(invoke("a", 0), invoke("a", 1));
  assert.throws(() => readOperations(twice), /a was begun twice/);
  assert.throws(() => readOperations(written({ at: 0, kind: "ok", id: "b" })), /b ended and never began/);
  const ends = written(invoke("c", 0), { at: 1, kind: "fail", id: "c" }, { at: 2, kind: "ok", id: "c" });
  assert.throws(() => readOperations(ends), /c ended twice/);
  assert.throws(() => readOperations(history.slice(0, -5)), /last line is cut/);
});
