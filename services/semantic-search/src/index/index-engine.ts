import { CodedError } from "@millrace/errors";
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
  /** Vectors a tenant may have waiting for its graph before an upsert waits; each search scans them. */
  tailMax: number;
}

/** A change in steps: each `next()` takes well under a millisecond, and between two of them searches may run. */
export type Change<T> = Generator<void, T>;

/**
 * The index itself, without threads or messages. Not re-entrant: changes are run one after the other, in the order
 * in which they were asked for; searches and background work may come between their steps.
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

/** Measured beside store, columns and graphs: content object, id string, map entry, columns and sets by slot. */
const contentBytes = 400;

export function createIndexEngine(options: EngineOptions): IndexEngine {
  const space = createSpace(options);
  const slots = new Map<string, number>();
  const tenants = new Map<string, TenantIndex>();
  /** Tenants that may have background work. */
  const busy = new Set<TenantIndex>();
  const scratch = new Float32Array(options.dimensions);

  function removeId(id: string): boolean {
    const slot = slots.get(id);
    if (slot === undefined) return false;
    slots.delete(id);
    const tenant = space.contents[slot]?.tenant;
    if (tenant !== undefined) busy.add(tenant);
    removeContent(space, slot);
    return true;
  }

  function put(tenant: TenantIndex, content: IndexedContent, vector: Float32Array): void {
    const slot = slots.get(content.id);
    const present = slot === undefined ? undefined : space.contents[slot];
    if (slot !== undefined && present !== undefined) {
      const isSamePlace = present.artifact.name === content.artifact && present.stream.name === content.stream;
      if (isSamePlace && space.store.holds(slot, vector)) {
        // Said again, as after a redelivery: the graph needs no work.
        present.sourceId = content.sourceId;
        present.eventTimeMs = content.eventTimeMs;
        return;
      }
      removeId(content.id);
    }
    slots.set(content.id, insertContent(space, tenant, { content, vector }));
    busy.add(tenant);
  }

  function* upsert(entries: readonly IndexedContent[], vectors: Float32Array): Change<void> {
    for (const entry of entries) refuseForeignId(entry);
    for (const [at, entry] of entries.entries()) {
      const tenant = tenantNamed(entry.tenant);
      while (tenant.tail.size >= options.tailMax && hasWork(space, tenant)) {
        workOnTenant(space, tenant, scratch);
        yield;
      }
      put(tenant, entry, vectors.subarray(at * options.dimensions, (at + 1) * options.dimensions));
      yield;
    }
  }

  function refuseForeignId(entry: IndexedContent): void {
    const slot = slots.get(entry.id);
    const owner = slot === undefined ? undefined : space.contents[slot]?.tenant.name;
    if (owner === undefined || owner === entry.tenant) return;
    throw new CodedError("invalid_argument", "upsert of a content id that belongs to another tenant", {
      field: "entries.id",
      remedy: "Derive content ids from the tenant, so that two tenants never share one.",
    });
  }

  function tenantNamed(name: string): TenantIndex {
    const present = tenants.get(name);
    if (present !== undefined) return present;
    const tenant = createTenantIndex(space, name);
    tenants.set(name, tenant);
    return tenant;
  }

  function* remove(ids: readonly string[]): Change<number> {
    let removed = 0;
    for (const id of ids) {
      if (removeId(id)) removed += 1;
      yield;
    }
    return removed;
  }

  function* removeStream(tenantName: string, streamName: string): Change<number> {
    const stream = tenants.get(tenantName)?.streams.get(streamName);
    let removed = 0;
    while (stream !== undefined && stream.size > 0) {
      const content = space.contents[stream.slots[stream.size - 1] as number];
      if (content !== undefined && removeId(content.id)) removed += 1;
      yield;
    }
    return removed;
  }

  function search(request: SearchRequest): Hit[] {
    const tenant = tenants.get(request.tenant);
    if (tenant === undefined) return [];
    const { vector, maxResults, minScore = -1, artifacts, streams } = request;
    const scored = searchTenant(space, tenant, { vector, maxResults, minScore, artifacts, streams });
    return scored.map(({ slot, score, id }) => toHit(space, slot, { score, id }));
  }

  function size(): IndexSize {
    let tombstones = 0;
    let bytes = space.store.bytes() + slots.size * contentBytes;
    for (const tenant of tenants.values()) {
      tombstones += tenant.dead.length + tenant.freeable.length;
      bytes += (tenant.graph?.bytes() ?? 0) + (tenant.rebuild?.graph.bytes() ?? 0);
    }
    return { vectors: slots.size, tombstones, bytes };
  }

  function work(): boolean {
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

  return { upsert, remove, removeStream, search, size, work };
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

function toHit(space: IndexSpace, slot: number, scored: { score: number; id: string }): Hit {
  const content = space.contents[slot];
  return {
    id: scored.id,
    artifact: content?.artifact.name ?? "",
    stream: content?.stream.name ?? "",
    sourceId: content?.sourceId ?? "",
    eventTimeMs: content?.eventTimeMs ?? 0,
    score: scored.score,
  };
}
