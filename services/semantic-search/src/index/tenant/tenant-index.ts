/*
 * The vectors of one tenant. Every vector is first in the tail, which searches scan exactly, so it is found
 * at once; work in the background moves it to the graph. A tenant with few vectors has a tail only.
 *
 *     insert ──► tail ──link──► graph ──(too many dead)──► rebuilt graph, takes its place when complete
 *                  │              │
 *               remove:        remove: dead. Its row is zeroed at once; its slot is used again
 *               slot free      when no graph knows it any more.
 *
 * While a graph is being rebuilt the old one goes on answering, and what leaves the tail is linked into both.
 */
import { assert } from "@millrace/errors";
import { addSlot, createSlotSet, removeSlot, type PositionColumn, type SlotSet } from "../store/slot-set.js";
import type { VectorStore } from "../store/vector-store.js";
import { createVectorGraph, type GraphOptions, type VectorGraph } from "./vector-graph.js";

export interface TenantOptions extends GraphOptions {
  /**
   * Up to this many vectors are scanned rather than looked up in the graph; 4,096 take 0.4 ms at 384
   * dimensions.
   */
  exactScanMax: number;
  /** What a neighbour from the graph costs, in scores of the exact scan; see tenant-search.ts. */
  neighbourCost: number;
  /** A graph is rebuilt when it has this many dead members and they are a quarter of it. */
  rebuildDeadMin: number;
}

export interface StoredContent {
  id: string;
  tenant: TenantIndex;
  artifact: SlotSet;
  stream: SlotSet;
  sourceId: string;
  eventTimeMs: number;
}

/**
 * What all tenants share. Columns are by slot; `contents[slot]` is undefined where the slot is free or
 * dead.
 */
export interface IndexSpace {
  options: TenantOptions;
  store: VectorStore;
  contents: (StoredContent | undefined)[];
  /** Which of its tenant's graphs know the slot: `inGraph`, `inRebuilt` or both. */
  membership: number[];
  columns: { live: PositionColumn; tail: PositionColumn; artifact: PositionColumn; stream: PositionColumn };
}

const inGraph = 1;
const inRebuilt = 2;

interface Rebuild {
  graph: VectorGraph;
  /** Slots to link; `queue[0 .. next)` are done. */
  queue: Uint32Array;
  next: number;
}

export interface TenantIndex {
  readonly name: string;
  readonly live: SlotSet;
  readonly tail: SlotSet;
  readonly artifacts: Map<string, SlotSet>;
  readonly streams: Map<string, SlotSet>;
  graph: VectorGraph | undefined;
  rebuild: Rebuild | undefined;
  /** Dead slots that a graph knows. */
  dead: number[];
  /** Dead slots that no graph knows any more, to be freed by and by. */
  freeable: number[];
}

export function createTenantIndex(space: IndexSpace, name: string): TenantIndex {
  return {
    name,
    live: createSlotSet(name, space.columns.live),
    tail: createSlotSet(name, space.columns.tail),
    artifacts: new Map(),
    streams: new Map(),
    graph: undefined,
    rebuild: undefined,
    dead: [],
    freeable: [],
  };
}

export interface NewContent {
  id: string;
  artifact: string;
  stream: string;
  sourceId: string;
  eventTimeMs: number;
}

/** Stores the content in the tail and returns its slot. Its id must be new. */
export function insertContent(
  space: IndexSpace,
  tenant: TenantIndex,
  item: { content: NewContent; vector: Float32Array },
): number {
  const { content, vector } = item;
  const slot = space.store.put(vector);
  const artifact = setNamed(tenant.artifacts, content.artifact, space.columns.artifact);
  const stream = setNamed(tenant.streams, content.stream, space.columns.stream);
  const { id, sourceId, eventTimeMs } = content;
  space.contents[slot] = { id, tenant, artifact, stream, sourceId, eventTimeMs };
  space.membership[slot] = 0;
  for (const set of [tenant.live, tenant.tail, artifact, stream]) addSlot(set, slot);
  return slot;
}

/** From here on no search returns the slot, and its vector is gone from the store. */
export function removeContent(space: IndexSpace, slot: number): void {
  const content = space.contents[slot];
  assert(content !== undefined, "a removed slot is live");
  const { tenant, artifact, stream } = content;
  space.contents[slot] = undefined;
  removeSlot(tenant.live, slot);
  removeSlot(artifact, slot);
  removeSlot(stream, slot);
  if (artifact.size === 0) tenant.artifacts.delete(artifact.name);
  if (stream.size === 0) tenant.streams.delete(stream.name);
  if (removeSlot(tenant.tail, slot)) {
    space.store.release(slot);
    return;
  }
  space.store.erase(slot);
  tenant.dead.push(slot);
  const membership = space.membership[slot] ?? 0;
  if (tenant.graph !== undefined && (membership & inGraph) !== 0) tenant.graph.dead += 1;
  if (tenant.rebuild !== undefined && (membership & inRebuilt) !== 0) tenant.rebuild.graph.dead += 1;
}

/** Whether `workOnTenant` has anything to do. */
export function hasWork(space: IndexSpace, tenant: TenantIndex): boolean {
  return (
    tenant.freeable.length > 0 ||
    tenant.rebuild !== undefined ||
    mustRebuild(space, tenant) ||
    (tenant.tail.size > 0 && wantsGraph(space, tenant))
  );
}

/** One small step in the background: about the time of linking one vector into one or two graphs. */
export function workOnTenant(space: IndexSpace, tenant: TenantIndex, scratch: Float32Array): void {
  freeSome(space, tenant);
  if (tenant.rebuild === undefined && mustRebuild(space, tenant)) startRebuild(space, tenant);
  if (tenant.tail.size > 0 && wantsGraph(space, tenant)) linkFromTail(space, tenant, scratch);
  if (tenant.rebuild !== undefined) rebuildOnce(space, tenant, scratch);
}

function wantsGraph(space: IndexSpace, tenant: TenantIndex): boolean {
  return tenant.graph !== undefined || tenant.live.size > space.options.exactScanMax;
}

function mustRebuild(space: IndexSpace, tenant: TenantIndex): boolean {
  const { graph } = tenant;
  if (graph === undefined || tenant.rebuild !== undefined) return false;
  if (tenant.live.size === 0) return true;
  return graph.dead >= space.options.rebuildDeadMin && graph.dead * 4 >= graph.members;
}

function linkFromTail(space: IndexSpace, tenant: TenantIndex, scratch: Float32Array): void {
  const slot = tenant.tail.slots[tenant.tail.size - 1] as number;
  tenant.graph ??= createVectorGraph(space.options);
  space.store.read(slot, scratch);
  tenant.graph.add(slot, scratch);
  space.membership[slot] = inGraph;
  if (tenant.rebuild !== undefined) {
    tenant.rebuild.graph.add(slot, scratch);
    space.membership[slot] = inGraph | inRebuilt;
  }
  removeSlot(tenant.tail, slot);
}

function startRebuild(space: IndexSpace, tenant: TenantIndex): void {
  if (tenant.live.size <= space.options.exactScanMax / 2) {
    // Few are left: they go back to the tail. Half the maximum, so that a tenant does not go to and fro.
    for (const slot of tenant.live.slots.subarray(0, tenant.live.size)) {
      if (space.membership[slot] === inGraph) addSlot(tenant.tail, slot);
      space.membership[slot] = 0;
    }
    tenant.graph = undefined;
    tenant.freeable = tenant.freeable.concat(tenant.dead);
    tenant.dead = [];
    return;
  }
  const queue = tenant.live.slots.slice(0, tenant.live.size);
  tenant.rebuild = { graph: createVectorGraph(space.options), queue, next: 0 };
}

function rebuildOnce(space: IndexSpace, tenant: TenantIndex, scratch: Float32Array): void {
  const { rebuild } = tenant;
  assert(rebuild !== undefined, "a rebuild is under way");
  while (rebuild.next < rebuild.queue.length) {
    const slot = rebuild.queue[rebuild.next++] as number;
    // Skips what died, what came by way of the tail, and what is still in the tail.
    if (space.contents[slot] === undefined || space.membership[slot] !== inGraph) continue;
    space.store.read(slot, scratch);
    rebuild.graph.add(slot, scratch);
    space.membership[slot] = inGraph | inRebuilt;
    return;
  }
  replaceGraph(space, tenant, rebuild.graph);
}

function replaceGraph(space: IndexSpace, tenant: TenantIndex, rebuilt: VectorGraph): void {
  const isKnown = (slot: number) => ((space.membership[slot] ?? 0) & inRebuilt) !== 0;
  const remaining: number[] = [];
  for (const slot of tenant.dead) (isKnown(slot) ? remaining : tenant.freeable).push(slot);
  for (const slot of remaining) space.membership[slot] = inGraph;
  for (const slot of tenant.live.slots.subarray(0, tenant.live.size)) {
    space.membership[slot] = isKnown(slot) ? inGraph : 0;
  }
  assert(remaining.length === rebuilt.dead, "the rebuilt graph's dead members are the dead slots it knows");
  tenant.dead = remaining;
  tenant.graph = rebuilt;
  tenant.rebuild = undefined;
}

/** Frees at most 64 slots: a removed stream can leave a million. */
function freeSome(space: IndexSpace, tenant: TenantIndex): void {
  for (let freed = 0; freed < 64; freed++) {
    const slot = tenant.freeable.pop();
    if (slot === undefined) return;
    space.membership[slot] = 0;
    space.store.release(slot);
  }
}

function setNamed(sets: Map<string, SlotSet>, name: string, column: PositionColumn): SlotSet {
  const present = sets.get(name);
  if (present !== undefined) return present;
  const set = createSlotSet(name, column);
  sets.set(name, set);
  return set;
}
