/** The last ids that were stored, oldest forgotten first. */
export interface IdWindow {
  has(id: string): boolean;
  addAll(ids: Iterable<string>): void;
  removeAll(ids: Iterable<string>): void;
}

export function createIdWindow(idsMax: number): IdWindow {
  // A Set keeps the order of insertion.
  const ids = new Set<string>();
  return {
    has: (id) => ids.has(id),
    addAll: (added) => {
      for (const id of added) ids.add(id);
      for (const oldest of ids) {
        if (ids.size <= idsMax) break;
        ids.delete(oldest);
      }
    },
    removeAll: (removed) => {
      for (const id of removed) ids.delete(id);
    },
  };
}

/** Ids of 32 hex digits that stand one after the other. */
export function splitIds(joined: string): string[] {
  return joined.match(/.{32}/g) ?? [];
}
