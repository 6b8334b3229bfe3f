import assert from "node:assert/strict";
import { test } from "node:test";
import { createFences } from "./fences.js";

const fence = (epoch: number) => ({ tenant: "t", stream: "s", fence: { source: "a", epoch } });
const stale = { code: "failed_precondition", field: "fence" };

test("a later holder ends what earlier ones send, and resumes when theirs is settled", async () => {
  const over = new AbortController();
  const fences = createFences({ epochOf: () => 3, sleep: () => new Promise(() => undefined) });
  await assert.rejects(
    fences.under(fence(2), async () => assert.fail("nothing is done")),
    stale,
  );
  const order: string[] = [];
  const slow = fences.under(fence(3), async () => {
    await new Promise((resolve) => over.signal.addEventListener("abort", resolve));
    order.push("settled");
  });
  await fences.under(fence(3), async () => undefined);
  const raised = fences.raise(fence(7)).then(() => order.push("raised"));
  over.abort();
  await Promise.all([slow, raised]);
  assert.deepEqual(order, ["settled", "raised"]);
  await assert.rejects(
    fences.under(fence(6), async () => assert.fail("nothing is done")),
    stale,
  );
  assert.equal(await fences.under({ tenant: "t", stream: "s", fence: undefined }, async () => 1), 1);
});

test("an earlier holder whose batch never ends lets the later one wait, for a while", async () => {
  const fences = createFences({ epochOf: () => 0, sleep: async () => undefined });
  void fences.under(fence(1), () => new Promise(() => undefined));
  await fences.under(fence(1), async () => undefined);
  await assert.rejects(fences.raise(fence(2)), { code: "unavailable" });
});
