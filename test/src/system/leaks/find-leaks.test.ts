import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createCanaries, formsCount } from "./canaries.js";
import { findLeaks } from "./find-leaks.js";

const log = (text: string) => [{ name: "a.log", bytes: Buffer.from(`{"level":"info","msg":"${text}"}\n`) }];

describe("the search for leaks", () => {
  const canaries = createCanaries();
  canaries.plantEach("a text");
  canaries.plantEach("another text");

  it("finds nothing in what is clean", () => {
    assert.deepEqual(findLeaks(canaries.all, log("call +44 20 7946 0958, or mail anna@example.com")), []);
  });

  it("knows each canary from every other", () => {
    assert.equal(canaries.all.length, 2 * formsCount);
    for (const canary of canaries.all) {
      const found = new Set(findLeaks(canaries.all, log(canary.text)).map((leak) => leak.canary));
      assert.deepEqual([...found], [canary]);
    }
  });

  it("finds each by its parts, in base64 at any offset, in hex, and in a file's name", () => {
    for (const canary of canaries.all) {
      for (const needle of canary.needles)
        assert.notEqual(findLeaks([canary], log(needle)).length, 0, needle);
      const digits = canary.text.replaceAll(/[ -]/g, "");
      assert.notEqual(findLeaks([canary], log(digits)).length, 0, digits);
      for (const before of ["", "a", "ab"]) {
        for (const encoding of ["base64", "base64url", "hex"] as const) {
          const text = Buffer.from(`${before}${canary.text} and more`).toString(encoding);
          assert.notEqual(findLeaks([canary], log(text)).length, 0, `${canary.text} as ${encoding}`);
        }
      }
      assert.notEqual(findLeaks([canary], [{ name: canary.text, bytes: Buffer.alloc(9) }]).length, 0);
    }
  });
});
