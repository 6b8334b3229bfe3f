/**
 * Where each slot stands in one family of sets, or -1. Sets of one family are disjoint (the artifacts of all
 * tenants, for instance), so one column serves them all.
 */
export interface PositionColumn {
  positions: Int32Array;
}

/**
 * A set of slots, packed, so that it can be handed to the scan as it is: `slots[0 .. size)`. Order has no
 * meaning.
 */
export interface SlotSet {
  readonly name: string;
  size: number;
  slots: Uint32Array;
  readonly column: PositionColumn;
}

export function createPositionColumn(): PositionColumn {
  return { positions: new Int32Array(1024).fill(-1) };
}

export function createSlotSet(name: string, column: PositionColumn): SlotSet {
  return { name, size: 0, slots: new Uint32Array(4), column };
}

export function hasSlot(set: SlotSet, slot: number): boolean {
  const position = set.column.positions[slot] ?? -1;
  return position >= 0 && position < set.size && set.slots[position] === slot;
}

/** The slot must be in no set of the family. */
export function addSlot(set: SlotSet, slot: number): void {
  if (set.size === set.slots.length) {
    const larger = new Uint32Array(set.size * 2);
    larger.set(set.slots);
    set.slots = larger;
  }
  const { column } = set;
  if (slot >= column.positions.length) {
    const larger = new Int32Array(Math.max(slot + 1, column.positions.length * 2)).fill(-1);
    larger.set(column.positions);
    column.positions = larger;
  }
  set.slots[set.size] = slot;
  column.positions[slot] = set.size;
  set.size += 1;
}

/** Takes the slot out, if it is in; the last slot takes its place. */
export function removeSlot(set: SlotSet, slot: number): boolean {
  if (!hasSlot(set, slot)) return false;
  const position = set.column.positions[slot] as number;
  const last = set.slots[set.size - 1] as number;
  set.slots[position] = last;
  set.column.positions[last] = position;
  set.column.positions[slot] = -1;
  set.size -= 1;
  return true;
}
