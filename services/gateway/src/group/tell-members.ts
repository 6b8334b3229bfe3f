/** So long after it was told last, a gateway's count of members is nobody's any more: it was killed. */
export const membersLastMs = 30_000;
const againMs = 10_000;

export interface TellMembersParts {
  /** 0: nothing is kept of this gateway. */
  tellMembers(count: number): Promise<void>;
  monotonic(): number;
  warn(what: string, error: unknown): void;
}

/** Tells the other gateways how many members a group has here: when that changes, and before it lapses. */
export function createMemberTeller({ tellMembers, monotonic, warn }: TellMembersParts): {
  tell(count: number): Promise<void>;
} {
  let told = 0;
  let atMs = Number.NEGATIVE_INFINITY;
  return {
    tell: async (count) => {
      const nowMs = monotonic();
      if (count === told && (count === 0 || nowMs - atMs < againMs)) return;
      told = count;
      atMs = nowMs;
      await tellMembers(count).catch((caught: unknown) => {
        // Neither is it known to be told.
        told = Number.NaN;
        warn("how many members a group has is not told, trying again", caught);
      });
    },
  };
}
