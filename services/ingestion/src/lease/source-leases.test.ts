import assert from "node:assert/strict";
import { test } from "node:test";
import { createLeaseStore } from "@millrace/messaging";
import { natsWorkbench } from "@millrace/messaging/testing";
import { eventually, testRuntime } from "@millrace/runtime/testing";
import { createSourceLeases, type Lease, type SourceLeases } from "./source-leases.js";

const bench = natsWorkbench();

/** A replica that wants these sources, and what it holds. */
async function replica(instance: string, keys: readonly string[]) {
  const store = await createLeaseStore(await bench.connect("ingestion"));
  const leases: SourceLeases = createSourceLeases({ store, runtime: { ...testRuntime(), instance } });
  const held = new Map<string, Lease>();
  for (const key of keys) {
    leases.want(key, {
      held: (lease) => void held.set(key, lease),
      lost: async () => void held.delete(key),
    });
  }
  await leases.start?.();
  return { held, stop: () => leases.stop?.(new AbortController().signal) ?? Promise.resolve() };
}

const keys = ["a", "b", "c", "d"].map((id) => `source.default.s.${id}`);

test("sources are shared out evenly, each to one, and go on under a higher epoch", async (t) => {
  const first = await replica("i-0", keys);
  await eventually(() => first.held.size === 4, { what: "one alone holds all" });
  const epochs = new Map([...first.held].map(([key, { epoch }]) => [key, epoch]));
  const second = await replica("i-1", keys);
  t.after(second.stop);
  await eventually(() => first.held.size === 2 && second.held.size === 2, { what: "each holds half" });
  assert.deepEqual([...first.held.keys(), ...second.held.keys()].sort(), keys);
  await first.stop();
  await eventually(() => second.held.size === 4, { what: "the one that is left holds all" });
  for (const [key, lease] of second.held) {
    assert.ok(lease.epoch > (epochs.get(key) ?? Infinity), `${key} has a later holder`);
    // It was handed back: nothing of it is left to be ended.
    assert.equal(lease.silentHolder, undefined);
    assert.equal(lease.isValid(), true);
  }
});
