/**
 * Judges of a run. A history is what was sent and acknowledged, and what arrived; each checker looks for one
 * kind of damage and returns what is wrong, empty when nothing is. Each is tested with mutants: a checker
 * that can't fail proves nothing.
 */
export interface Sent {
  id: string;
  /** Source and place in it: order is promised within one source. */
  source: string;
  position: number;
  /** What must arrive, byte for byte. */
  content: string;
  /** Whether we said OK. What was not acknowledged may arrive or not. */
  acknowledged: boolean;
}

export interface Arrived {
  id: string;
  content: string;
}

export interface History {
  sent: readonly Sent[];
  /** In the order of arrival, at one output. */
  arrived: readonly Arrived[];
  /** Ids in the dead letters, with a reason. */
  dead?: readonly string[];
}

/** Acknowledged, and neither arrived nor in the dead letters. */
export function findLost({ sent, arrived, dead = [] }: History): string[] {
  const seen = new Set([...arrived.map(({ id }) => id), ...dead]);
  return sent.filter((one) => one.acknowledged && !seen.has(one.id)).map(({ id }) => id);
}

/** Arrived more than once; for outputs that promise once. */
export function findDuplicated({ arrived }: History): string[] {
  const counts = new Map<string, number>();
  for (const { id } of arrived) counts.set(id, (counts.get(id) ?? 0) + 1);
  return [...counts].filter(([, count]) => count > 1).map(([id]) => id);
}

/** Arrived with another content than was sent, or never sent at all. */
export function findAltered({ sent, arrived }: History): string[] {
  const contents = new Map(sent.map(({ id, content }) => [id, content]));
  return arrived.filter(({ id, content }) => contents.get(id) !== content).map(({ id }) => id);
}

/** First arrivals that came after a later position of their source; for streams that promise order. */
export function findOutOfOrder({ sent, arrived }: History): string[] {
  const places = new Map(sent.map((one) => [one.id, one]));
  const reached = new Map<string, number>();
  const seen = new Set<string>();
  return arrived.flatMap(({ id }) => {
    const place = places.get(id);
    if (place === undefined || seen.has(id)) return [];
    seen.add(id);
    const last = reached.get(place.source) ?? -1;
    reached.set(place.source, Math.max(last, place.position));
    return place.position < last ? [id] : [];
  });
}

/** Figures above their cap, such as the most memory of each service; none is no figure. */
export function findAboveCap(figures: readonly { name: string; value: number }[], cap: number): string[] {
  if (figures.length === 0) return ["nothing was measured"];
  return figures.flatMap(({ name, value }) => (value > 0 && value <= cap ? [] : [`${name}: ${value}`]));
}
