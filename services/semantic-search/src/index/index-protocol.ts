/*
 * Between the index (vector-index.ts) and its thread (index-worker.ts):
 *
 *   thread ──ready──► index ──call { call, … }──► thread ──answer { call, … }──► index
 *
 *   thread ──size──► index      after each change, and when background work is done
 *
 * Every call gets one answer. Vectors travel as transferred ArrayBuffers.
 */
import type { Code } from "@millrace/errors";

/** A content that can be found: what a hit says of it, beside its vector. */
export interface IndexedContent {
  /** 32 hex digits, unique over all tenants. */
  id: string;
  artifact: string;
  stream: string;
  tenant: string;
  sourceId: string;
  eventTimeMs: number;
}

export interface SearchRequest {
  tenant: string;
  /** Of any length but zero; only its direction counts. */
  vector: Float32Array;
  /** 1 to 1,000. */
  maxResults: number;
  /** Hits below this cosine are left out; without it, none are. */
  minScore?: number;
  /** Only contents of these artifacts; an empty list matches nothing. */
  artifacts?: readonly string[];
  /** Only contents of these streams; an empty list matches nothing. */
  streams?: readonly string[];
}

export interface Hit {
  id: string;
  artifact: string;
  stream: string;
  sourceId: string;
  eventTimeMs: number;
  /** Cosine of query and content: 1 is the same direction. */
  score: number;
}

export interface IndexSize {
  vectors: number;
  /** Removed contents whose place is not yet free again; their vectors are no longer in the store. */
  tombstones: number;
  /** Memory held, from the sizes of what is allocated and measured means per content. */
  bytes: number;
}

export type Call =
  | { kind: "upsert"; entries: readonly IndexedContent[]; vectors: Float32Array }
  | { kind: "remove"; ids: readonly string[] }
  | { kind: "removeStream"; tenant: string; stream: string }
  | { kind: "search"; request: SearchRequest };

/** A call with its number; answers come in any order. */
export type CallMessage = Call & { call: number };

export interface WireError {
  code: Code;
  message: string;
  field?: string | undefined;
  remedy?: string | undefined;
}

export type Answer = { count: number } | { hits: Hit[] } | { error: WireError };

export type ThreadMessage =
  | { kind: "ready" }
  | { kind: "answer"; call: number; answer: Answer }
  | { kind: "size"; size: IndexSize };
