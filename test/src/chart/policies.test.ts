import assert from "node:assert/strict";
import test from "node:test";
import { isDeepStrictEqual } from "node:util";
import { valueMatrix } from "./matrix.js";
import { gracePolicy } from "./policies/grace.js";
import { objectPolicies } from "./policies/object-policies.js";
import { podPolicies } from "./policies/pod-policies.js";
import { boundaryPolicy, claimsPolicy, ownershipPolicy } from "./policies/volumes.js";
import { render, twoAtATime } from "./render.js";

const policies = [
  ...podPolicies,
  gracePolicy,
  boundaryPolicy,
  ownershipPolicy,
  claimsPolicy,
  ...objectPolicies,
];
const renderings = await twoAtATime(valueMatrix, async ({ name, ...rendering }) => {
  return { name, objects: await render(rendering) };
});
const [plain] = renderings;

for (const { name, find, broken } of policies) {
  test(name, () => {
    const found = renderings.flatMap(({ name: values, objects }) =>
      find(objects).map((what) => `with ${values}: ${what}`),
    );
    assert.deepEqual(found, []);
  });

  test(`${name}: broken renderings are caught`, () => {
    for (const [what, breakIt] of Object.entries(broken)) {
      const objects = structuredClone(plain?.objects ?? []);
      breakIt(objects);
      assert.ok(!isDeepStrictEqual(objects, plain?.objects), `${what} changes nothing`);
      assert.ok(find(objects).length > 0, `${what} passes`);
    }
  });
}
