import assert from "node:assert/strict";
import { test } from "node:test";
import { CodedError } from "@millrace/errors";
import { type PodScrapesOptions, scrapePods } from "./pod-scrapes.js";

const options: PodScrapesOptions = {
  service: "gateway",
  address: "pods:7071",
  resolve: async () => ["10.0.0.1", "fd00::2"],
  read: async (url) => `text of ${url}`,
};

test("every address of the name is asked", async () => {
  assert.deepEqual(
    [...(await scrapePods(options))],
    [
      ["10.0.0.1:7071", "text of http://10.0.0.1:7071/metrics"],
      ["[fd00::2]:7071", "text of http://[fd00::2]:7071/metrics"],
    ],
  );
});

const failures: [string, Partial<PodScrapesOptions>, RegExp][] = [
  ["no address", { address: undefined }, /no address is configured \(scrape\.gateway\)/],
  [
    "no such name",
    { resolve: () => Promise.reject(new Error("ENOTFOUND")) },
    /no pod is found by the name pods/,
  ],
  ["no pod", { resolve: async () => [] }, /no pod is found/],
  [
    "one silent pod",
    { read: (url) => (url.includes("fd00") ? Promise.reject(new Error("x")) : Promise.resolve("")) },
    /the pod at \[fd00::2\]:7071 does not answer/,
  ],
];
for (const [how, over, message] of failures) {
  test(`${how} makes all of it unknown`, async () => {
    await assert.rejects(
      scrapePods({ ...options, ...over }),
      (error) => error instanceof CodedError && error.code === "unavailable" && message.test(error.message),
    );
  });
}
