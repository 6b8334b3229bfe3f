import { assert, CodedError, present } from "@millrace/errors";
import type { Hit, IndexedContent, IndexSize, SearchRequest } from "./index-protocol.js";
import { createPositionColumn } from "./store/slot-set.js";
import { createVectorStore } from "./store/vector-store.js";
import {
  createTenantIndex,
  hasWork,
  insertContent,
  removeContent,
  workOnTenant,
  type IndexSpace,
  type TenantIndex,
  type TenantOptions,
} from "./tenant/tenant-index.js";
import { searchTenant } from "./tenant/tenant-search.js";

export interface EngineOptions extends TenantOptions {
  vectorsMax: number;
  /** Vectors a tenant with a graph may have waiting for it before an upsert waits; each search scans them. */
  tailMax: number;
}

/**
 * A change in steps: each `next()` takes well under a millisecond, and between two of them searches may
 * run.
 */
export type Change<T> = Generator<void, T>;

/**
 * The index itself, without threads or messages. Not re-entrant: changes are run one after the other, in the
 * order in which they were asked for; searches and background work may come between their steps.
 */
export interface IndexEngine {
  upsert(entries: readonly IndexedContent[], vectors: Float32Array): Change<void>;
  remove(ids: readonly string[]): Change<number>;
  removeStream(tenant: string, stream: string): Change<number>;
  search(request: SearchRequest): Hit[];
  size(): IndexSize;
  /** One step of background work; false if there is none to do. */
  work(): boolean;
}

/**
 * What a content takes beside the store and the graphs: object, id string, map entry, columns and sets by
 * slot. The rest of 2.6 KB a vector, which is what the process grew by with 100,000 vectors of 384
 * dimensions.
 */
const contentBytes = 700;

export function createIndexEngine(options: EngineOptions): IndexEngine {
  const state: EngineState = {
    options,
    space: createSpace(options),
    slots: new Map(),
    tenants: new Map(),
    busy: new Set(),
    scratch: new Float32Array(options.dimensions),
  };
  return {
    upsert: (entries, vectors) => upsert(state, entries, vectors),
    remove: (ids) => remove(state, ids),
    removeStream: (tenant, stream) => removeStream(state, tenant, stream),
    search: (request) => search(state, request),
    size: () => sizeOf(state),
    work: () => workOnce(state),
  };
}

interface EngineState {
  readonly options: EngineOptions;
  readonly space: IndexSpace;
  /** Content id to slot, over all tenants. */
  readonly slots: Map<string, number>;
  readonly tenants: Map<string, TenantIndex>;
  /** Tenants that may have background work. */
  readonly busy: Set<TenantIndex>;
  readonly scratch: Float32Array;
}

function* upsert(
  state: EngineState,
  entries: readonly IndexedContent[],
  vectors: Float32Array,
): Change<void> {
  const { space, scratch } = state;
  const { dimensions, tailMax } = state.options;
  for (const entry of entries) refuseForeignId(state, entry);
  for (const [at, entry] of entries.entries()) {
    const tenant = tenantNamed(state, entry.tenant);
    while (tenant.tail.size >= tailMax && hasWork(space, tenant)) {
      // The change does the work that makes room, so it cannot wait for ever.
      workOnTenant(space, tenant, scratch);
      yield;
    }
    const vector = vectors.subarray(at * dimensions, (at + 1) * dimensions);
    putContent(state, tenant, { content: entry, vector });
    yield;
  }
}

function putContent(
  state: EngineState,
  tenant: TenantIndex,
  item: { content: IndexedContent; vector: Float32Array },
): void {
  const { space, slots } = state;
  const { content, vector } = item;
  const slot = slots.get(content.id);
  const known = slot === undefined ? undefined : space.contents[slot];
  if (slot !== undefined && known !== undefined) {
    const isSamePlace = known.artifact.name === content.artifact && known.stream.name === content.stream;
    if (isSamePlace && space.store.holds(slot, vector)) {
      // Said again, as after a redelivery: the graph needs no work.
      known.sourceId = content.sourceId;
      known.eventTimeMs = content.eventTimeMs;
      return;
    }
    removeId(state, content.id);
  }
  slots.set(content.id, insertContent(space, tenant, item));
  state.busy.add(tenant);
}

function refuseForeignId({ slots, space }: EngineState, entry: IndexedContent): void {
  const slot = slots.get(entry.id);
  const owner = slot === undefined ? undefined : space.contents[slot]?.tenant.name;
  if (owner === undefined || owner === entry.tenant) return;
  throw new CodedError("invalid_argument", "upsert of a content id that belongs to another tenant", {
    field: "entries.id",
    remedy: "Derive content ids from the tenant, so that two tenants never share one.",
  });
}

function tenantNamed({ space, tenants }: EngineState, name: string): TenantIndex {
  const known = tenants.get(name);
  if (known !== undefined) return known;
  const tenant = createTenantIndex(space, name);
  tenants.set(name, tenant);
  return tenant;
}

function removeId({ space, slots, busy }: EngineState, id: string): boolean {
  const slot = slots.get(id);
  const content = slot === undefined ? undefined : space.contents[slot];
  if (slot === undefined || content === undefined) return false;
  slots.delete(id);
  busy.add(content.tenant);
  removeContent(space, slot);
  return true;
}

function* remove(state: EngineState, ids: readonly string[]): Change<number> {
  let removed = 0;
  for (const id of ids) {
    if (removeId(state, id)) removed += 1;
    yield;
  }
  return removed;
}

function* removeStream(state: EngineState, tenantName: string, streamName: string): Change<number> {
  const stream = state.tenants.get(tenantName)?.streams.get(streamName);
  let removed = 0;
  while (stream !== undefined && stream.size > 0) {
    const content = state.space.contents[stream.slots[stream.size - 1] as number];
    assert(content !== undefined, "the contents of a stream are live");
    if (removeId(state, content.id)) removed += 1;
    yield;
  }
  return removed;
}

function search({ space, tenants }: EngineState, request: SearchRequest): Hit[] {
  const tenant = tenants.get(request.tenant);
  if (tenant === undefined) return [];
  const { vector, maxResults, minScore = -1, artifacts, streams } = request;
  const scored = searchTenant(space, tenant, { vector, maxResults, minScore, artifacts, streams });
  return scored.map(({ slot, score, id }) => {
    const { artifact, stream, sourceId, eventTimeMs } = present(space.contents[slot], "a hit's content");
    return { id, artifact: artifact.name, stream: stream.name, sourceId, eventTimeMs, score };
  });
}

function sizeOf({ space, slots, tenants }: EngineState): IndexSize {
  let tombstones = 0;
  let bytes = space.store.bytes() + slots.size * contentBytes;
  for (const tenant of tenants.values()) {
    tombstones += tenant.dead.length + tenant.freeable.length;
    bytes += (tenant.graph?.bytes() ?? 0) + (tenant.rebuild?.graph.bytes() ?? 0);
  }
  return { vectors: slots.size, tombstones, bytes };
}

function workOnce({ space, tenants, busy, scratch }: EngineState): boolean {
  for (const tenant of busy) {
    if (hasWork(space, tenant)) {
      workOnTenant(space, tenant, scratch);
      return true;
    }
    busy.delete(tenant);
    if (tenant.live.size === 0 && tenant.graph === undefined) tenants.delete(tenant.name);
  }
  return false;
}

function createSpace(options: EngineOptions): IndexSpace {
  return {
    options,
    store: createVectorStore(options.dimensions, options.vectorsMax),
    contents: [],
    membership: [],
    columns: {
      live: createPositionColumn(),
      tail: createPositionColumn(),
      artifact: createPositionColumn(),
      stream: createPositionColumn(),
    },
  };
}
