/** What the store of all streams' results holds. */
export interface ResultStoreState {
  bytes: number;
  bytesMax: number;
  /** Stored messages of each subject. */
  counts: ReadonlyMap<string, number>;
}

export interface ResultStoreOptions {
  state(): Promise<ResultStoreState>;
  /** Whether must-deliver groups need what is stored of a subject. */
  isHeld(subject: string): boolean;
  /** Leaves so many of a subject, the newest. */
  keepNewest(subject: string, count: number): Promise<void>;
}

/** From here on what is not needed makes room; the rest is for what is stored until the next look. */
const fullFrom = 0.85;
/** What is left of each stream then. */
const left = 0.7;

/**
 * The budgets of all streams together may be more than the store of results has. It refuses rather than
 * removing its oldest, which a must-deliver group may not have settled: so here the streams without one make
 * room.
 */
export async function makeRoom({ state, isHeld, keepNewest }: ResultStoreOptions): Promise<void> {
  const { bytes, bytesMax, counts } = await state();
  if (bytesMax <= 0 || bytes < bytesMax * fullFrom) return;
  for (const [subject, count] of counts) {
    if (!isHeld(subject)) await keepNewest(subject, Math.floor(count * left));
  }
}
