import type { Stream } from "@millrace/proto/stream";
import { createScanner, type Scanner } from "../detect/scan/scanner.js";
import { type Policy, policyDetectors, policyHash, policyWithout } from "../policy/default-policy.js";

/** What a policy needs at run time. */
export interface Filter {
  policy: Policy;
  /** Detectors that are off, sorted: what the policy is made of. */
  off: readonly string[];
  /** For passports. */
  hash: string;
  scanner: Scanner;
  /** Key of pseudonyms. */
  key: Uint8Array;
}

export interface Filters {
  /** Of a stream; without one, every detector is on. */
  of(stream: Stream | undefined): Filter;
}

/** One filter for each policy in use: 7 detectors can be switched in 128 ways, and few are ever used. */
export function createFilters(key: Uint8Array): Filters {
  const made = new Map<string, Filter>();
  return {
    of: (stream) => {
      const off = [...(stream?.privacy?.detectorsOff ?? [])].sort();
      const name = off.join(",");
      let filter = made.get(name);
      if (filter === undefined) {
        const policy = policyWithout(off, "stream.privacy.detectors_off");
        filter = {
          policy,
          off,
          hash: policyHash(policy),
          scanner: createScanner({ detectors: policyDetectors(policy) }),
          key,
        };
        made.set(name, filter);
      }
      return filter;
    },
  };
}
