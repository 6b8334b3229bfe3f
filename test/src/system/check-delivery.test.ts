import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkDelivery } from "./check-delivery.js";

const sent = Array.from({ length: 100 }, (_, at) => `m${at}`);

describe("the delivery checker", () => {
  it("finds nothing where each message arrived once", () => {
    assert.deepEqual(checkDelivery(sent, sent.toReversed()), { lost: [], repeated: [], foreign: [] });
  });

  it("catches one dropped message", () => {
    assert.deepEqual(checkDelivery(sent, sent.toSpliced(41, 1)).lost, ["m41"]);
  });

  it("catches one repeated message", () => {
    assert.deepEqual(checkDelivery(sent, [...sent, "m7"]).repeated, ["m7"]);
  });

  it("catches one message that nobody sent", () => {
    assert.deepEqual(checkDelivery(sent, [...sent, "x"]).foreign, ["x"]);
  });
});
