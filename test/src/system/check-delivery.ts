/** What became of the messages that were sent, by their ids. */
export interface Delivery {
  lost: string[];
  repeated: string[];
  /** Arrived and never sent. */
  foreign: string[];
}

export function checkDelivery(sent: readonly string[], arrived: readonly string[]): Delivery {
  const counts = new Map<string, number>();
  for (const id of arrived) counts.set(id, (counts.get(id) ?? 0) + 1);
  const known = new Set(sent);
  return {
    lost: sent.filter((id) => !counts.has(id)),
    repeated: [...counts].filter(([, count]) => count > 1).map(([id]) => id),
    foreign: [...counts.keys()].filter((id) => !known.has(id)),
  };
}
