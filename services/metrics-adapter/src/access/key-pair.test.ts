import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "@millrace/runtime";
import { createFakeClock } from "@millrace/runtime/testing";
import { createKeyPairSource, type KeyPair } from "./key-pair.js";

const pairOf = (text: string): KeyPair => ({ cert: Buffer.from(text), key: Buffer.from(text) });

test("a renewed pair is told once, and one that can't be read leaves the last one", async () => {
  const clock = createFakeClock();
  const told: string[] = [];
  let read = (): KeyPair => pairOf("first");
  const source = createKeyPairSource({
    clock,
    log: silentLogger,
    read: () => read(),
    onChange: ({ cert }) => told.push(cert.toString()),
  });
  await source.start?.();
  await clock.advance(20_000);
  read = () => {
    throw new Error("the key is of another certificate");
  };
  await clock.advance(10_000);
  assert.equal(source.current().cert.toString(), "first");
  read = () => pairOf("second");
  await clock.advance(20_000);
  assert.deepEqual(told, ["second"]);
  assert.equal(source.current().cert.toString(), "second");
  await source.stop?.(new AbortController().signal);
});
