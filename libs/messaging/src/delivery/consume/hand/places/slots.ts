import type { Clock } from "@millrace/runtime";
import { createHeld, type Entry, heldMax } from "./held.js";

/*
 * Who is worked on, and how many more may be asked for.
 *
 *   pulled ──► held ──► active ──► settled          held: its stream has as many in hand as it may (held.ts)
 *                │        ▲ │                       aside: it is tried in a process of its own
 *                └────────┘ └─► aside ─► active
 */
export interface Slots {
  /** Deliveries to ask the broker for. */
  room(): number;
  /** Resolves when a delivery of the stream may be worked on, or is to be given back. */
  enter(stream: string): Promise<Entry>;
  leave(stream: string): void;
  /** Its work goes on elsewhere: others may have its place. */
  stepAside(stream: string): void;
  stepBack(stream: string): void;
  /** Ends the waiting of those who are held. */
  close(): void;
}

export interface SlotsOptions {
  clock: Pick<Clock, "sleep">;
  inFlightMax: number;
  /** Of one stream. */
  parallelismOf(stream: string): number;
  onRoom(): void;
}

export function createSlots({ clock, inFlightMax, parallelismOf, onRoom }: SlotsOptions): Slots {
  const active = new Map<string, number>();
  const held = createHeld({ clock, onRoom });
  let activeCount = 0;
  let asideCount = 0;
  const change = (stream: string, by: 1 | -1): void => {
    const count = (active.get(stream) ?? 0) + by;
    activeCount += by;
    if (count === 0) active.delete(stream);
    else active.set(stream, count);
  };
  const isFull = (stream: string): boolean => (active.get(stream) ?? 0) >= parallelismOf(stream);
  const admit = (stream: string): void => {
    while (held.has(stream) && !isFull(stream)) {
      change(stream, 1);
      held.goOn(stream);
    }
    onRoom();
  };
  return {
    room: () =>
      held.count() >= heldMax || asideCount >= inFlightMax ? 0 : Math.max(0, inFlightMax - activeCount),
    enter: (stream) => {
      if (held.has(stream) || isFull(stream)) return held.hold(stream);
      change(stream, 1);
      return Promise.resolve("works");
    },
    leave: (stream) => {
      change(stream, -1);
      admit(stream);
    },
    stepAside: (stream) => {
      asideCount += 1;
      change(stream, -1);
      admit(stream);
    },
    stepBack: (stream) => {
      asideCount -= 1;
      change(stream, 1);
    },
    close: held.close,
  };
}
