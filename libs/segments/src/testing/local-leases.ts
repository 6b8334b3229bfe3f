import type { LeaseClient } from "../lease/leased-writer.js";
import type { LeasingBodyStore } from "../body-store.js";

export interface LocalLeases {
  writer: string;
  segmentBytes: number;
  leaseMs: number;
}

/** What a writer asks of buffer's raw side, with no wire in between. */
export function localLeases({ leases }: LeasingBodyStore, of: LocalLeases): LeaseClient {
  const { writer, ...granted } = of;
  return {
    grant: async () => ({ ...(await leases.grant(writer)), log: "raw/buffer-0", ...granted }),
    renew: async (key) => leases.renew(key),
    end: (key, writtenTo) => leases.end(key, writtenTo),
  };
}
