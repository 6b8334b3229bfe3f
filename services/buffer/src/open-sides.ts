import {
  type BatchPublisher,
  createBatchPublisher,
  type Publisher,
  type StoredTracker,
} from "@millrace/messaging";
import type { Component, Runtime } from "@millrace/runtime";
import { type LeasingBodyStore, openLeasingBodyStore, type PlacedBatch } from "@millrace/segments";
import type { LeftBatches } from "./accept/left-batches.js";
import type { BufferConfig } from "./config.js";

type Sides = Record<"raw" | "clean", LeasingBodyStore>;

interface SideParts {
  runtime: Runtime;
  owner: string;
  /** There as soon as the first lease can end. */
  left(): LeftBatches;
}

/** The segments of this node, raw and clean. */
export async function openSides(config: BufferConfig, { runtime, owner, left }: SideParts): Promise<Sides> {
  const { clock, metrics } = runtime;
  const { rawDir, cleanDir, ...sizes } = config.segments;
  const damaged = metrics.counter(
    "millrace_segment_damaged_frames_total",
    "Frames in segments that were not what was written; a copy lies in quarantine.",
    ["side"],
  );
  const openSide = async (side: "raw" | "clean", sideDir: string): Promise<LeasingBodyStore> => {
    const store: LeasingBodyStore = await openLeasingBodyStore({
      ...sizes,
      sideDir,
      side,
      owner,
      node: config.node,
      // Later than that of any earlier life.
      epoch: Math.round(clock.now()),
      monotonic: clock.monotonic,
      // Well below the deadline of whoever appends.
      roomWaitMs: 5_000,
      onBroken: runtime.fail,
      onLeft: (batches: readonly PlacedBatch[]) => void left().take(batches, store, false),
      onDamaged: (count) => damaged.inc({ side }, count),
    });
    damaged.inc({ side }, store.damaged);
    return store;
  };
  return { raw: await openSide("raw", rawDir), clean: await openSide("clean", cleanDir) };
}

export interface SidePublishers {
  raw: BatchPublisher;
  clean: BatchPublisher;
  /** What the last life of buffer made durable is on the bus, or is nobody's any more. */
  untilRecovered(): Promise<void>;
}

export function openPublishers(
  sides: Sides,
  { publisher, tracker, runtime }: { publisher: Publisher; tracker: StoredTracker; runtime: Runtime },
): SidePublishers {
  const [raw, clean] = [
    createBatchPublisher(publisher, tracker, sides.raw, runtime),
    createBatchPublisher(publisher, tracker, sides.clean, runtime),
  ];
  const untilRecovered = async (): Promise<void> => {
    await Promise.all([raw.untilRecovered(), clean.untilRecovered()]);
  };
  return { raw, clean, untilRecovered };
}

export const leasesOf = ({ raw, clean }: Sides) => ({ raw: raw.leases, clean: clean.leases });

const keepMs = 1_000;

export interface LeaseKeeper extends Component {
  /** What writers left when the last life of buffer ended is accepted, or is nobody's any more. */
  untilTaken(): Promise<void>;
}

/** Takes what writers left, now and whenever a lease ends, and measures. */
export function keepLeases(sides: Sides, left: LeftBatches, { clock, log, metrics }: Runtime): LeaseKeeper {
  const live = metrics.gauge("millrace_segment_live_bytes", "Bytes of segments in use.", ["side"]);
  const aside = metrics.gauge("millrace_segment_spilled_bytes", "Bytes of stragglers copied aside.", [
    "side",
  ]);
  const leased = metrics.gauge("millrace_segment_leases", "Segments leased to writers.", ["side"]);
  const failing = metrics.gauge("millrace_segment_lease_ends_failed", "Leases that can't be ended.", [
    "side",
  ]);
  const waiting = metrics.gauge("millrace_left_batches", "Left by ended leases, and not accepted yet.");
  const stopping = new AbortController();
  const keep = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      for (const side of ["raw", "clean"] as const) {
        const { leases, liveBytes, spilledBytes } = sides[side];
        await leases
          .endExpired()
          .catch((caught: unknown) => log.error("lease not ended", { error: String(caught) }));
        live.set({ side }, liveBytes());
        aside.set({ side }, spilledBytes());
        leased.set({ side }, leases.size());
        failing.set({ side }, leases.endsFailed().length);
      }
      waiting.set(left.size());
      await clock.sleep(keepMs, stopping.signal);
    }
  };
  let keeping: Promise<void> | undefined;
  let taking: Promise<unknown> | undefined;
  return {
    name: "segment-leases",
    untilTaken: async () => void (await taking),
    start: async () => {
      // Beside all else: what a full stream of the bus keeps waiting keeps no other stream.
      taking = Promise.all([sides.raw, sides.clean].map((side) => left.take(side.left, side, true)));
      keeping = keep();
    },
    stop: async () => {
      stopping.abort();
      await keeping;
      await left.stop();
    },
    health: () => {
      const [first] = [sides.raw, sides.clean].flatMap(({ leases }) => leases.endsFailed());
      return first === undefined ? undefined : `tried again each second: ${first.message}`;
    },
  };
}
