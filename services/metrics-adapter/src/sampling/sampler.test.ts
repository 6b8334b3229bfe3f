import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { silentLogger } from "@millrace/runtime";
import { createFakeClock } from "@millrace/runtime/testing";
import { createSampler, type Sampler } from "./sampler.js";

const hard = new AbortController().signal;
let started: Sampler | undefined;
afterEach(async () => started?.stop?.(hard));

async function start(take: () => Promise<void>) {
  const clock = createFakeClock();
  const sampler = createSampler({ what: "lag", take, clock, log: silentLogger });
  started = sampler;
  await sampler.start?.();
  await clock.advance(0);
  return { clock, sampler };
}
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("samples are seldom while nobody asks, and each second while somebody does", async () => {
  let taken = 0;
  const { clock, sampler } = await start(async () => {
    taken += 1;
  });
  await clock.advance(30_000);
  assert.equal(taken, 4);
  await sampler.ask();
  await settled();
  taken = 0;
  await clock.advance(60_000);
  assert.ok(taken >= 59, `${taken}`);
  await clock.advance(5 * 60_000);
  taken = 0;
  await clock.advance(60_000);
  assert.ok(taken <= 7, `${taken}`);
});

test("who asks is answered from a fresh sample, and all who find an old one share the next", async () => {
  let taken = 0;
  const { clock, sampler } = await start(async () => {
    taken += 1;
  });
  await clock.advance(9_000);
  await Promise.all([sampler.ask(), sampler.ask(), sampler.ask()]);
  assert.equal(taken, 2);
  await sampler.ask();
  assert.equal(taken, 2);
});

test("who asks while a sample is taken shares that one", async () => {
  let finish = (): void => undefined;
  let taken = 0;
  const { sampler } = await start(() => {
    taken += 1;
    return new Promise((resolve) => {
      finish = resolve;
    });
  });
  const asked = sampler.ask();
  finish();
  await asked;
  await settled();
  assert.equal(taken, 1);
});

test("a failure is told when the last sample is older than 15 s, or there is none", async () => {
  let failing = true;
  const { clock, sampler } = await start(() =>
    failing ? Promise.reject(new Error("no answer")) : Promise.resolve(),
  );
  await assert.rejects(sampler.ask(), /lag is unknown: sample lag: no answer/);
  failing = false;
  await sampler.ask();
  failing = true;
  await clock.advance(14_000);
  await sampler.ask();
  await clock.advance(2_000);
  await assert.rejects(sampler.ask(), /lag is unknown/);
});
