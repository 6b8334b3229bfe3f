import assert from "node:assert/strict";
import test from "node:test";
import { lineRenderer, renderPlain } from "./render-line.js";

const at = new Date(2026, 0, 31, 12, 3, 4).getTime();
const plain = lineRenderer({ colour: false, verbose: true, now: () => at });
const quiet = lineRenderer({ colour: false, verbose: false, now: () => at });

test("a line of a service becomes a sentence with its fields", () => {
  const line = log({ level: 30, msg: "consumer is ready", service: "privacy", stream: "RAW", seq: 7 });
  assert.equal(
    plain("privacy", line, "stdout"),
    "12:03:04 privacy         info  consumer is ready stream=RAW seq=7",
  );
});

test("values with spaces are quoted, nested ones shown as JSON, errors by their message", () => {
  const line = log({
    level: "warn",
    msg: "slow",
    why: "disk is full",
    size: { mb: 3 },
    err: { message: "boom" },
  });
  assert.equal(renderPlain(line), 'slow why="disk is full" size={"mb":3} err=boom');
});

test("only warnings, and what is marked as a notice, are for the console", () => {
  assert.equal(quiet("buffer", log({ level: 30, msg: "opened" }), "stdout"), undefined);
  assert.match(quiet("buffer", log({ level: 40, msg: "slow disk" }), "stdout") ?? "", /warn {2}slow disk$/);
  assert.match(
    quiet("buffer", log({ level: 30, msg: "listens", notice: true }), "stdout") ?? "",
    /info {2}listens$/,
  );
});

test("lines of nats-server keep their time and level", () => {
  const line = "[77] 2026/01/31 23:59:58.123456 [WRN] Filestore is nearly full";
  assert.equal(quiet("broker", line, "stderr"), "23:59:58 broker          warn  Filestore is nearly full");
  assert.equal(quiet("broker", line.replace("WRN", "INF"), "stderr"), undefined);
});

test("plain text on stderr is shown, on stdout only when all is", () => {
  assert.equal(quiet("search", "Error: boom", "stderr"), "12:03:04 search          warn  Error: boom");
  assert.equal(quiet("search", "hello", "stdout"), undefined);
});

test("a program cannot steer the terminal", () => {
  const line = log({ level: 40, msg: "name \u001b[2Jx\u0007", "k\u001bey": "a\u001b\u009bb" });
  assert.equal(renderPlain(line), "name \\x1b[2Jx\\x07 k\\x1bey=a\\x1b\\x9bb");
});

test("colours are used only where wanted", () => {
  const coloured = lineRenderer({ colour: true, verbose: false, now: () => at });
  const line = log({ level: 50, msg: "lost the broker" });
  assert.match(coloured("buffer", line, "stdout") ?? "", /\u001b\[31merror\u001b\[0m lost the broker/);
});

function log(record: object): string {
  return JSON.stringify({ time: at, ...record });
}
