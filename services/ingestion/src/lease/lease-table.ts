import type { Kept, LeaseChange } from "@millrace/messaging";
import type { SourceLease, SourceMember } from "@millrace/proto/source";

/** A replica is taken for dead that long after its last sign of life was seen. */
export const deadAfterMs = 5_000;
/** What is left of a replica whose name never came back. */
const forgottenAfterMs = 600_000;

interface Seen {
  session: string;
  revision: number;
  atMs: number;
}

/** LEASES as this replica has seen it, by its own clock: a sign of life counts from when it was received. */
export interface LeaseTable {
  apply(change: LeaseChange, nowMs: number): void;
  lease(key: string): Kept<SourceLease> | undefined;
  /** Whether the replica lives, in that life. */
  isAlive(instance: string, session: string, nowMs: number): boolean;
  /** The last sign of life that was seen. */
  seen(instance: string): Seen | undefined;
  /** Leases of each other replica that lives. */
  loads(self: string, nowMs: number): Map<string, number>;
  /** Replicas that were not seen for so long that nobody waits for them. */
  forgotten(nowMs: number): string[];
}

export function createLeaseTable(): LeaseTable {
  const leases = new Map<string, Kept<SourceLease>>();
  const members = new Map<string, Seen>();
  const isAlive = (instance: string, session: string, nowMs: number): boolean => {
    const seen = members.get(instance);
    return seen !== undefined && seen.session === session && nowMs - seen.atMs < deadAfterMs;
  };
  return {
    apply: (change, nowMs) => {
      if (change.kind === "source") set(leases, change.key, change.kept);
      else set(members, change.instance, change.kept && signOf(change.kept, nowMs));
    },
    lease: (key) => leases.get(key),
    isAlive,
    seen: (instance) => members.get(instance),
    loads: (self, nowMs) => {
      const loads = new Map<string, number>();
      for (const [instance, { session }] of members)
        if (instance !== self && isAlive(instance, session, nowMs)) loads.set(instance, 0);
      for (const { value } of leases.values()) {
        const load = loads.get(value.holder);
        if (load !== undefined && isAlive(value.holder, value.session, nowMs))
          loads.set(value.holder, load + 1);
      }
      return loads;
    },
    forgotten: (nowMs) =>
      [...members].filter(([, { atMs }]) => nowMs - atMs > forgottenAfterMs).map(([instance]) => instance),
  };
}

const signOf = ({ value, revision }: Kept<SourceMember>, atMs: number): Seen => ({
  session: value.session,
  revision,
  atMs,
});

function set<T>(map: Map<string, T>, key: string, value: T | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
