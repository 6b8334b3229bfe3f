import { expectNone } from "../checks.js";
import { allObjects } from "../cluster/release.js";
import { findChanged } from "../judge/objects.js";
import type { Step } from "./step.js";

/** Certificates, keys and tokens are made once: an upgrade without a change makes nothing anew. */
export const upgradeStep: Step = {
  name: "upgrade",
  profile: "small",
  async run({ checks, kubectl, release }) {
    for (const turn of ["first", "second"]) {
      await checks.check(`the ${turn} upgrade without a change changes no object`, async () => {
        const before = await allObjects(kubectl);
        await release.upgrade();
        const after = await allObjects(kubectl);
        expectNone("objects differ", findChanged(before, after));
        return `${after.length} objects`;
      });
    }
  },
};
