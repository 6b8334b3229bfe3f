import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeClock } from "@millrace/runtime/testing";
import { createReviews, type Verdict } from "./reviews.js";

const user = { name: "u", uid: undefined, groups: ["g"], extra: {} };
const attributes = { path: "/apis", verb: "get" };

test("a verdict is kept for 10 s, for that user and wish only; a failure is not", async () => {
  const clock = createFakeClock();
  let asked = 0;
  let answer = (): Promise<Verdict> => Promise.reject(new Error("away"));
  const { judge } = createReviews({
    monotonic: clock.monotonic,
    review: () => {
      asked += 1;
      return answer();
    },
  });
  await assert.rejects(judge(user, attributes), /away/);
  answer = async () => ({ allowed: true, reason: "" });
  assert.equal((await judge(user, attributes)).allowed, true);
  answer = async () => ({ allowed: false, reason: "taken away" });
  await clock.advance(9_999);
  assert.equal((await judge(user, attributes)).allowed, true);
  assert.equal((await judge({ ...user, groups: [] }, attributes)).allowed, false);
  assert.equal((await judge(user, { ...attributes, verb: "post" })).allowed, false);
  await clock.advance(1);
  assert.equal((await judge(user, attributes)).allowed, false);
  assert.equal(asked, 5);
});
