/*
 * Who is worked on, and how many more may be asked for.
 *
 *   pulled ──► held ──► active ──► settled          held: its stream has as many in hand as it may
 *                │        ▲ │                       aside: it is tried in a process of its own
 *                └────────┘ └─► aside ─► active
 */
export interface Slots {
  /** Deliveries to ask the broker for. */
  room(): number;
  /** Resolves when a delivery of the stream may be worked on; false when there will be no more work. */
  enter(stream: string): Promise<boolean>;
  leave(stream: string): void;
  /** Its work goes on elsewhere: others may have its place. */
  stepAside(stream: string): void;
  stepBack(stream: string): void;
  /** Ends the waiting of those who are held. */
  close(): void;
}

export interface SlotsOptions {
  inFlightMax: number;
  /** Of one stream. */
  parallelismOf(stream: string): number;
  onRoom(): void;
}

/** Held ones are references and small bodies, not opened yet. */
export const heldMax = 64;

export function createSlots({ inFlightMax, parallelismOf, onRoom }: SlotsOptions): Slots {
  const active = new Map<string, number>();
  const queues = new Map<string, ((goes: boolean) => void)[]>();
  let activeCount = 0;
  let heldCount = 0;
  let asideCount = 0;
  const change = (stream: string, by: 1 | -1): void => {
    const count = (active.get(stream) ?? 0) + by;
    activeCount += by;
    if (count === 0) active.delete(stream);
    else active.set(stream, count);
  };
  const isFull = (stream: string): boolean => (active.get(stream) ?? 0) >= parallelismOf(stream);
  const admit = (stream: string): void => {
    const queue = queues.get(stream);
    while (queue !== undefined && queue.length > 0 && !isFull(stream)) {
      heldCount -= 1;
      change(stream, 1);
      queue.shift()?.(true);
    }
    if (queue?.length === 0) queues.delete(stream);
    onRoom();
  };
  return {
    room: () =>
      heldCount >= heldMax || asideCount >= inFlightMax ? 0 : Math.max(0, inFlightMax - activeCount),
    enter: (stream) => {
      if (!queues.has(stream) && !isFull(stream)) {
        change(stream, 1);
        return Promise.resolve(true);
      }
      heldCount += 1;
      return new Promise((goes) => queues.set(stream, [...(queues.get(stream) ?? []), goes]));
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
    close: () => {
      for (const queue of queues.values()) for (const goes of queue) goes(false);
      queues.clear();
      heldCount = 0;
    },
  };
}
