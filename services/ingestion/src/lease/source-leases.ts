import { CodedError } from "@millrace/errors";
import type { Kept, LeaseStore } from "@millrace/messaging";
import type { SourceLease } from "@millrace/proto/source";
import type { Component, Runtime } from "@millrace/runtime";
import { createLeaseTable, type LeaseTable } from "./lease-table.js";
import { createMembership, type Membership } from "./membership.js";

/** The right to read a source, of one replica at a time. */
export interface Lease {
  /** Higher than that of every lease of the source before: buffer refuses what comes under a lower one. */
  readonly epoch: number;
  /** The replica that held it and did not hand it back; its segments may hold what it had not sent yet. */
  readonly silentHolder: string | undefined;
  /** Whether something may still be sent under it. */
  isValid(): boolean;
}

export interface LeaseListener {
  held(lease: Lease): void;
  /** It is over: resolves when nothing is read under it any more. */
  lost(lease: Lease): Promise<void>;
}

/**
 * Shares sources out among the replicas of ingestion:
 *
 *     free ──► held ──► handed back (a clean end, or another replica has two less)
 *      ▲        │
 *      └────────┴─ silent for 5 s: whoever has the fewest takes it, under a higher epoch
 */
export interface SourceLeases extends Component {
  /** Tries to get the source until `unwant`, and again whenever it is lost. */
  want(key: string, listener: LeaseListener): void;
  /** Ends the lease, if there is one, once nothing is read under it. */
  unwant(key: string): Promise<void>;
}

export interface SourceLeasesOptions {
  store: LeaseStore;
  runtime: Pick<Runtime, "clock" | "instance" | "log" | "random">;
}

const tickMs = 250;
/** Whoever holds more than others waits for them that much for each source. */
const yieldMs = 250;
const yieldsMax = 4;
const balanceMs = 2_000;
/** Leases that are taken at once. */
const takesMax = 16;

interface Wanted {
  listener: LeaseListener;
  lease: (Lease & { session: string }) | undefined;
  /** While it ends. */
  ending: Promise<void> | undefined;
  freeSinceMs: number | undefined;
}

export function createSourceLeases(options: SourceLeasesOptions): SourceLeases {
  return new SharedLeases(options);
}

class SharedLeases implements SourceLeases {
  readonly name = "source-leases";
  readonly #store: LeaseStore;
  readonly #runtime: SourceLeasesOptions["runtime"];
  readonly #membership: Membership;
  readonly #table: LeaseTable = createLeaseTable();
  readonly #wanted = new Map<string, Wanted>();
  /** Leases that end, wanted or not. */
  readonly #endings = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  #nap = new AbortController();
  #loops: Promise<unknown> | undefined;
  #watch: { stop(): void } | undefined;
  #balancedMs = 0;

  constructor(options: SourceLeasesOptions) {
    this.#store = options.store;
    this.#runtime = options.runtime;
    this.#membership = createMembership(options);
  }

  async start(): Promise<void> {
    const { clock } = this.#runtime;
    this.#watch = await this.#store.watch((change) => {
      this.#table.apply(change, clock.monotonic());
      if (change.kind === "source") this.#nap.abort();
    });
    await this.#membership.beat();
    this.#loops = Promise.all([this.#beatOn(), this.#tickOn()]);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#nap.abort();
    await this.#loops;
    for (const key of this.#wanted.keys()) void this.unwant(key);
    await Promise.all(this.#endings);
    this.#watch?.stop();
    await this.#membership.leave();
  }

  want(key: string, listener: LeaseListener): void {
    this.#wanted.set(key, { listener, lease: undefined, ending: undefined, freeSinceMs: undefined });
    this.#nap.abort();
  }

  async unwant(key: string): Promise<void> {
    const wanted = this.#wanted.get(key);
    this.#wanted.delete(key);
    if (wanted !== undefined) await this.#end(key, wanted);
  }

  async #beatOn(): Promise<void> {
    const { clock } = this.#runtime;
    while (!this.#stopping.signal.aborted) {
      await this.#membership.beat();
      await clock.sleep(tickMs, this.#stopping.signal);
    }
  }

  async #tickOn(): Promise<void> {
    const { clock, log } = this.#runtime;
    while (!this.#stopping.signal.aborted) {
      this.#nap = new AbortController();
      await this.#tick().catch((caught: unknown) => {
        log.warn("leases not looked at, trying again", { error: CodedError.from(caught).toString() });
      });
      if (this.#stopping.signal.aborted) return;
      await clock.sleep(tickMs, this.#nap.signal);
    }
  }

  async #tick(): Promise<void> {
    for (const [key, wanted] of this.#wanted) {
      const { lease } = wanted;
      if (lease === undefined || wanted.ending !== undefined) continue;
      const other = this.#table.lease(key);
      const isTaken = other !== undefined && other.revision > lease.epoch;
      if (isTaken || !lease.isValid()) void this.#end(key, wanted);
    }
    if (!this.#membership.isFresh()) return;
    this.#balance();
    const free = [...this.#wanted].filter(([key, wanted]) => this.#isDue(key, wanted));
    for (let at = 0; at < free.length; at += takesMax) {
      await Promise.all(free.slice(at, at + takesMax).map(([key, wanted]) => this.#take(key, wanted)));
    }
    const nowMs = this.#runtime.clock.monotonic();
    for (const instance of this.#table.forgotten(nowMs)) await this.#store.removeMember(instance);
  }

  /** How many more this replica holds than the one with the fewest. */
  #surplus(): number {
    const nowMs = this.#runtime.clock.monotonic();
    const others = this.#table.loads(this.#runtime.instance, nowMs).values();
    const held = [...this.#wanted.values()].filter(({ lease }) => lease !== undefined).length;
    return held - Math.min(held, ...others);
  }

  /** Hands back one where another has two less: that one takes it at once, since it yields to nobody. */
  #balance(): void {
    const nowMs = this.#runtime.clock.monotonic();
    if (nowMs - this.#balancedMs < balanceMs || this.#surplus() < 2) return;
    const last = [...this.#wanted].findLast(([, { lease, ending }]) => lease && ending === undefined);
    if (last === undefined) return;
    this.#balancedMs = nowMs;
    void this.#end(...last);
  }

  #isFree(kept: Kept<SourceLease> | undefined): boolean {
    if (kept === undefined || kept.value.holder === "") return true;
    const { holder, session } = kept.value;
    // What an earlier life of this replica held; or this one, and it was removed meanwhile.
    if (holder === this.#runtime.instance) return true;
    return !this.#table.isAlive(holder, session, this.#runtime.clock.monotonic());
  }

  #isDue(key: string, wanted: Wanted): boolean {
    const { clock } = this.#runtime;
    if (wanted.lease !== undefined || wanted.ending !== undefined) return false;
    if (!this.#isFree(this.#table.lease(key))) {
      wanted.freeSinceMs = undefined;
      return false;
    }
    wanted.freeSinceMs ??= clock.monotonic();
    return clock.monotonic() - wanted.freeSinceMs >= Math.min(this.#surplus(), yieldsMax) * yieldMs;
  }

  async #take(key: string, wanted: Wanted): Promise<void> {
    const { clock, instance, log } = this.#runtime;
    const session = this.#membership.session();
    // Of the broker: a watch that hangs must not make the living look dead.
    const kept = await this.#store.getSource(key);
    if (!this.#isFree(kept)) return;
    const { holder = "", session: heldIn = "" } = kept?.value ?? {};
    if (holder !== "" && holder !== instance) {
      const member = await this.#store.getMember(holder);
      const isNews = member !== undefined && member.revision > (this.#table.seen(holder)?.revision ?? 0);
      if (isNews && member.value.session === heldIn) {
        this.#table.apply({ kind: "member", instance: holder, kept: member }, clock.monotonic());
        return;
      }
    }
    const epoch = await this.#store.putSource(key, { holder: instance, session }, kept?.revision ?? 0);
    if (epoch === undefined) return;
    const isValid = (): boolean => this.#membership.session() === session && this.#membership.isFresh();
    const isWanted = this.#wanted.get(key) === wanted && !this.#stopping.signal.aborted;
    if (!isWanted || !isValid()) {
      await this.#store.putSource(key, { holder: "", session: "" }, epoch);
      return;
    }
    const silentHolder = holder === "" || holder === instance ? undefined : holder;
    wanted.lease = { epoch, silentHolder, isValid, session };
    wanted.freeSinceMs = undefined;
    if (silentHolder !== undefined) log.warn("source taken over", { key, holder: silentHolder });
    wanted.listener.held(wanted.lease);
  }

  #end(key: string, wanted: Wanted): Promise<void> {
    const { ending = this.#endOnce(key, wanted) } = wanted;
    if (wanted.ending === ending) return ending;
    wanted.ending = ending;
    this.#endings.add(ending);
    void ending.finally(() => {
      wanted.ending = undefined;
      this.#endings.delete(ending);
    });
    return ending;
  }

  async #endOnce(key: string, wanted: Wanted): Promise<void> {
    const { lease } = wanted;
    if (lease === undefined) return;
    await wanted.listener.lost(lease);
    wanted.lease = undefined;
    // Not where another has it by now: the revision is another one then.
    await this.#store.putSource(key, { holder: "", session: "" }, lease.epoch).catch((caught: unknown) =>
      this.#runtime.log.warn("lease not handed back, others wait for its end", {
        key,
        code: CodedError.from(caught).code,
      }),
    );
  }
}
