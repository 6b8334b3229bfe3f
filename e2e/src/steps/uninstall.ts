import { expectNone } from "../checks.js";
import type { Profile } from "../cluster/release.js";
import { findLeftovers } from "../judge/objects.js";
import type { Step } from "./step.js";

export const uninstallStep = (profile: Profile): Step => ({
  name: `uninstall-${profile}`,
  profile,
  async run({ checks, release }) {
    await checks.check(`uninstall of ${profile} leaves what is documented to stay`, async () => {
      const left = await release.uninstall();
      expectNone("objects are left", findLeftovers(left));
      return `${left.length} stay: data and keys`;
    });
  },
});
