import type { Checks } from "../checks.js";
import type { Kubectl } from "../cluster/kubectl.js";
import type { Profile, Release } from "../cluster/release.js";
import type { Settings } from "../settings.js";

export interface Context {
  settings: Settings;
  kubectl: Kubectl;
  release: Release;
  checks: Checks;
  /** Measured in one step and compared in another: MB/s of the bulk path by profile. */
  bulk: Map<Profile, number>;
}

export interface Step {
  name: string;
  /** The release that it needs. */
  profile: Profile;
  /** It installs its release by itself. */
  installs?: boolean;
  run(context: Context): Promise<void>;
}
