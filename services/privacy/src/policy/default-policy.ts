import { createHash } from "node:crypto";
import { CodedError } from "@millrace/errors";
import { type FindingType, findingTypes } from "../detect/finding-type.js";
import type { Detector } from "../detect/scan/detector.js";
import { allDetectors } from "./all-detectors.js";

/** What becomes of a finding: a token takes its place, or its detector does not run. */
export type DetectorAction = "redact" | "off";

export interface Policy {
  /** Version of this form. */
  readonly version: 1;
  readonly detectors: Readonly<Record<FindingType, DetectorAction>>;
}

/** Every detector on. */
export const defaultPolicy: Policy = policyWithout([]);

/**
 * The default policy without the detectors of these names. `field` is where the operator wrote them.
 * @throws CodedError invalid_argument, with the names there are, when one is unknown.
 */
export function policyWithout(names: readonly string[], field = "policy.detectorsOff"): Policy {
  for (const name of names) {
    if (isFindingType(name)) continue;
    throw new CodedError("invalid_argument", `read the privacy policy: there is no detector "${name}"`, {
      field,
      remedy: `Use any of ${findingTypes.join(", ")}.`,
    });
  }
  const actions = findingTypes.map((type) => [type, names.includes(type) ? "off" : "redact"] as const);
  return Object.freeze({
    version: 1,
    detectors: Object.freeze(Object.fromEntries(actions) as Record<FindingType, DetectorAction>),
  });
}

/** The detectors that a policy leaves on, for `createScanner`. */
export function policyDetectors(policy: Policy): Detector[] {
  return allDetectors.filter((detector) => policy.detectors[detector.type] === "redact");
}

/** SHA-256, in hex, of the policy and of its detectors' versions: names what was looked for in a passport. */
export function policyHash(policy: Policy): string {
  const detectors = [...allDetectors].sort((left, right) => (left.type < right.type ? -1 : 1));
  const canonical = detectors.map(({ type, version }) => [type, policy.detectors[type], version]);
  return createHash("sha256")
    .update(JSON.stringify([policy.version, canonical]))
    .digest("hex");
}

function isFindingType(name: string): name is FindingType {
  return (findingTypes as readonly string[]).includes(name);
}
