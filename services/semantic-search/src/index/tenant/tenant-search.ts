/*
 * How a search is answered:
 *
 *   1. The filter names artifacts, streams or both; the side with fewer vectors gives what can match.
 *   2. Few of them (`exactScanMax`), or no graph yet: all are scored. The answer is exact and complete.
 *   3. Else the graph is asked for as many neighbours as should hold enough matches, and for four times more
 *      while too few match; what is still in the tail is scored beside them. As soon as asking the graph
 *      would cost more than scoring all that can match, all is scored: no filter, however unlucky, loses
 *      results.
 */
import type { SlotSet } from "../store/slot-set.js";
import { lengthOf } from "../store/vector-store.js";
import type { IndexSpace, StoredContent, TenantIndex } from "./tenant-index.js";
import { createTopHits, type Scored, type TopHits } from "./top-hits.js";
import type { VectorGraph } from "./vector-graph.js";

export interface TenantQuery {
  vector: Float32Array;
  maxResults: number;
  minScore: number;
  artifacts?: readonly string[] | undefined;
  streams?: readonly string[] | undefined;
}

interface Plan {
  /** Together these hold everything that can match. */
  sets: readonly SlotSet[];
  matchesMax: number;
  isFiltered: boolean;
  accepts(content: StoredContent): boolean;
}

/** The best matches, best first. */
export function searchTenant(space: IndexSpace, tenant: TenantIndex, query: TenantQuery): readonly Scored[] {
  const plan = planSearch(tenant, query);
  if (plan.matchesMax === 0) return [];
  space.store.setQuery(query.vector);
  const { graph } = tenant;
  if (graph !== undefined && plan.matchesMax > space.options.exactScanMax) {
    const top = searchGraph(space, { tenant, graph, query, plan });
    if (top !== undefined) return top.hits;
  }
  const top = topOf(space, query);
  for (const set of plan.sets) scanSet(space, set, { plan, top });
  return top.hits;
}

function planSearch(tenant: TenantIndex, query: TenantQuery): Plan {
  const artifacts = setsNamed(tenant.artifacts, query.artifacts);
  const streams = setsNamed(tenant.streams, query.streams);
  const everything: Side = { sets: new Set([tenant.live]), size: tenant.live.size };
  const sides = [artifacts, streams, everything].filter((side) => side !== undefined);
  const narrowest = sides.reduce((least, side) => (side.size < least.size ? side : least));
  return {
    sets: [...narrowest.sets],
    matchesMax: narrowest.size,
    isFiltered: sides.length > 1,
    accepts: (content) =>
      (artifacts?.sets.has(content.artifact) ?? true) && (streams?.sets.has(content.stream) ?? true),
  };
}

interface Side {
  sets: ReadonlySet<SlotSet>;
  size: number;
}

function setsNamed(all: Map<string, SlotSet>, names: readonly string[] | undefined): Side | undefined {
  if (names === undefined) return undefined;
  const sets = new Set<SlotSet>();
  let size = 0;
  for (const name of new Set(names)) {
    const set = all.get(name);
    if (set === undefined) continue;
    sets.add(set);
    size += set.size;
  }
  return { sets, size };
}

interface GraphSearch {
  tenant: TenantIndex;
  graph: VectorGraph;
  query: TenantQuery;
  plan: Plan;
}

/** Undefined where scoring everything that can match is the cheaper way to enough results. */
function searchGraph(space: IndexSpace, search: GraphSearch): TopHits | undefined {
  const { tenant, graph, query, plan } = search;
  const { expansionSearch, neighbourCost } = space.options;
  const unit = unitVector(query.vector);
  // Half more than the mean share, where dead or filtered neighbours come in between.
  const slack = plan.isFiltered || graph.dead > 0 ? 1.5 : 1;
  let wanted = Math.ceil(query.maxResults * Math.max(1, graph.members / plan.matchesMax) * slack);
  while (Math.max(wanted, expansionSearch) * neighbourCost < plan.matchesMax) {
    const slots = Uint32Array.from(graph.near(unit, wanted));
    const top = topOf(space, query);
    let accepted = 0;
    let worst = 1;
    space.store.scan(slots, slots.length, (slot, score) => {
      const content = space.contents[slot];
      if (content === undefined) return;
      worst = Math.min(worst, score);
      if (!plan.accepts(content)) return;
      accepted += 1;
      top.offer(slot, score);
    });
    if (accepted >= query.maxResults || worst < query.minScore) {
      scanSet(space, tenant.tail, { plan, top });
      return top;
    }
    wanted *= 4;
  }
  return undefined;
}

function scanSet(space: IndexSpace, set: SlotSet, into: { plan: Plan; top: TopHits }): void {
  const { plan, top } = into;
  space.store.scan(set.slots, set.size, (slot, score) => {
    const content = space.contents[slot];
    if (content !== undefined && (!plan.isFiltered || plan.accepts(content))) top.offer(slot, score);
  });
}

function topOf(space: IndexSpace, query: TenantQuery): TopHits {
  return createTopHits(query.maxResults, query.minScore, (slot) => space.contents[slot]?.id ?? "");
}

function unitVector(vector: Float32Array): Float32Array {
  const scale = 1 / lengthOf(vector);
  return vector.map((value) => value * scale);
}
