import { CodedError } from "@millrace/errors";
import type { LeaseStore } from "@millrace/messaging";
import type { Runtime } from "@millrace/runtime";
import { deadAfterMs } from "./lease-table.js";

const beatMs = 1_000;
/**
 * A holder that could not say for so long that it lives holds nothing any more. The others wait for
 * `deadAfterMs` from when they saw its last sign, so it stops before they begin.
 */
export const silentMaxMs = 3_500;

/** One life of this replica, as the others see it. */
export interface Membership {
  /** Of the present life. */
  session(): string;
  /** Whether the others must still take this life for alive: nothing may be sent under a lease otherwise. */
  isFresh(): boolean;
  /** Says so now, if it is time; begins another life where the last one ended. */
  beat(): Promise<void>;
  /** The others need not wait. */
  leave(): Promise<void>;
}

export interface MembershipOptions {
  store: Pick<LeaseStore, "getMember" | "putMember" | "removeMember">;
  runtime: Pick<Runtime, "clock" | "instance" | "log" | "random">;
}

export function createMembership({ store, runtime }: MembershipOptions): Membership {
  const { clock, instance, log, random } = runtime;
  const nameLife = (): string => `${Math.floor(clock.now())}-${Math.floor(random() * 2 ** 32).toString(36)}`;
  let life = { session: nameLife(), revision: 0, aliveAtMs: -Infinity };
  let notBeforeMs = -Infinity;
  const isFresh = (): boolean => clock.monotonic() - life.aliveAtMs < silentMaxMs;

  const write = async (): Promise<void> => {
    const { session } = life;
    // The moment of sending: the others can't have seen it earlier.
    const sentMs = clock.monotonic();
    const revision = await store.putMember(instance, { session }, life.revision);
    if (revision !== undefined) {
      life = { session, revision, aliveAtMs: sentMs };
      return;
    }
    const there = await store.getMember(instance);
    const isOurs = there?.value.session === session;
    if (there !== undefined && !isOurs && life.aliveAtMs !== -Infinity) {
      log.error("another process has the name of this instance, its sources are given up", { instance });
      life = { session: nameLife(), revision: there.revision, aliveAtMs: -Infinity };
      notBeforeMs = sentMs + deadAfterMs;
      return;
    }
    // An answer that was lost, or the life before this one: the next beat goes on top of it.
    life = { ...life, revision: there?.revision ?? 0 };
    if (life.aliveAtMs === -Infinity) await write();
  };

  return {
    session: () => life.session,
    isFresh,
    beat: async () => {
      const nowMs = clock.monotonic();
      if (nowMs < notBeforeMs || nowMs - life.aliveAtMs < beatMs) return;
      // Others may have taken what this life held.
      if (life.aliveAtMs !== -Infinity && !isFresh()) {
        life = { ...life, session: nameLife(), aliveAtMs: -Infinity };
      }
      await write().catch((caught: unknown) => {
        log.warn("no sign of life written, trying again", { code: CodedError.from(caught).code });
      });
    },
    leave: async () => {
      if (life.aliveAtMs !== -Infinity) await store.removeMember(instance);
    },
  };
}
