import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type ContractSystem, startContractSystem } from "./contract-system.js";
import { describeSinks } from "./sinks/sink-cases.js";
import { describeSources } from "./sources/source-cases.js";

describe("what every source and every sink keeps", () => {
  let system: ContractSystem;
  before(async () => {
    system = await startContractSystem();
  });
  after(() => system?.stop());

  describe("sources", () => describeSources(() => system));
  describe("sinks", () => describeSinks(() => system));

  it("no credentials are in a log, and no service has ended by itself", async () => {
    await system.assertNothingTold();
    assert.deepEqual(system.unasked(), []);
  });
});
