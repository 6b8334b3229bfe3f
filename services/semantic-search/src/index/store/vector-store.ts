/*
 * All vectors of the process, as half floats of unit length, in one memory that grows in place:
 *
 *   0          query            f32 x lanes, times 2^112
 *   slotsAt    slots to scan    u32 x scanBatch
 *   scoresAt   their scores     f32 x scanBatch
 *   rowsAt     rows             u16 x lanes each; row of slot s at rowsAt + s * rowBytes
 *
 * lanes = dimensions rounded up to 8, the rest zero. A released row is zeroed: removed content leaves nothing
 * here.
 */
import { assert, CodedError } from "@millrace/errors";
import { decodeHalfFloats, encodeHalfFloats } from "./half-float.js";
import { createScanKernel, memoryBytesMax, pageBytes, queryScale, type ScanKernel } from "./scan-kernel.js";

/** Slots scored by one call into the kernel: large enough to hide the call, small enough to stay in cache. */
const scanBatch = 1024;

export interface VectorStore {
  readonly dimensions: number;
  /**
   * Copies the vector in, made unit length; returns its slot. `resource_exhausted` when `vectorsMax` are
   * held.
   */
  put(vector: Float32Array): number;
  /** Zeroes the row and lets the slot be used again. */
  release(slot: number): void;
  /** Zeroes the row but keeps the slot from use: a graph still knows it. */
  erase(slot: number): void;
  /** Whether `put(vector)` would store what the slot holds already, bit for bit. */
  holds(slot: number, vector: Float32Array): boolean;
  /** The stored vector, as it was rounded. */
  read(slot: number, target: Float32Array): void;
  /** Sets the query for `scan`; it need not have unit length. */
  setQuery(query: Float32Array): void;
  /** Calls `visit` with the cosine of the query and each of `slots[0 .. count)`. */
  scan(slots: Uint32Array, count: number, visit: (slot: number, score: number) => void): void;
  bytes(): number;
}

export function createVectorStore(dimensions: number, vectorsMax: number): VectorStore {
  const layout = layOut(dimensions);
  const { lanes, rowBytes, slotsAt, scoresAt, rowsAt } = layout;
  const { memory, scan: runScan } = createScanKernel(rowsAt + 1024 * rowBytes);
  const allocator = createSlotAllocator(memory, layout, vectorsMax);
  const scratch = new Uint16Array(dimensions);
  let inverseLengths = new Float32Array(1024);

  const row = (slot: number) => new Uint16Array(memory.buffer, rowsAt + slot * rowBytes, dimensions);

  function put(vector: Float32Array): number {
    const slot = allocator.acquire();
    if (slot >= inverseLengths.length) {
      const larger = new Float32Array(slot * 2);
      larger.set(inverseLengths);
      inverseLengths = larger;
    }
    const length = encodeHalfFloats(vector, 1 / lengthOf(vector), row(slot));
    assert(length > 0, "a vector of unit length is not zero as half floats");
    inverseLengths[slot] = 1 / length;
    return slot;
  }

  function erase(slot: number): void {
    row(slot).fill(0);
    inverseLengths[slot] = 0;
  }

  function release(slot: number): void {
    erase(slot);
    allocator.release(slot);
  }

  function holds(slot: number, vector: Float32Array): boolean {
    encodeHalfFloats(vector, 1 / lengthOf(vector), scratch);
    const stored = row(slot);
    return scratch.every((half, lane) => half === stored[lane]);
  }

  function setQuery(query: Float32Array): void {
    const scale = queryScale / lengthOf(query);
    const scaled = new Float32Array(memory.buffer, 0, lanes);
    for (let lane = 0; lane < dimensions; lane++) scaled[lane] = (query[lane] as number) * scale;
  }

  function scan(slots: Uint32Array, count: number, visit: (slot: number, score: number) => void): void {
    const batch = new Uint32Array(memory.buffer, slotsAt, scanBatch);
    const scores = new Float32Array(memory.buffer, scoresAt, scanBatch);
    for (let from = 0; from < count; from += scanBatch) {
      const length = Math.min(scanBatch, count - from);
      batch.set(slots.subarray(from, from + length));
      runScan(slotsAt, length, 0, rowsAt, rowBytes, scoresAt);
      for (let at = 0; at < length; at++) {
        const slot = batch[at] as number;
        // Rounding of the sum can pass 1 by some 1e-7.
        const score = (scores[at] as number) * (inverseLengths[slot] as number);
        visit(slot, Math.max(-1, Math.min(1, score)));
      }
    }
  }

  return {
    dimensions,
    put,
    erase,
    release,
    holds,
    read: (slot, target) => decodeHalfFloats(row(slot), target),
    setQuery,
    scan,
    bytes: () => memory.buffer.byteLength + inverseLengths.byteLength,
  };
}

/** Byte offsets of the drawing above. */
interface Layout {
  lanes: number;
  rowBytes: number;
  slotsAt: number;
  scoresAt: number;
  rowsAt: number;
}

function layOut(dimensions: number): Layout {
  const lanes = Math.ceil(dimensions / 8) * 8;
  const slotsAt = lanes * 4;
  const scoresAt = slotsAt + scanBatch * 4;
  return { lanes, rowBytes: lanes * 2, slotsAt, scoresAt, rowsAt: scoresAt + scanBatch * 4 };
}

interface SlotAllocator {
  /** A slot whose row is in memory; `resource_exhausted` when there is none. */
  acquire(): number;
  release(slot: number): void;
}

function createSlotAllocator(
  memory: ScanKernel["memory"],
  layout: Layout,
  vectorsMax: number,
): SlotAllocator {
  const { rowsAt, rowBytes } = layout;
  const slotsMax = Math.min(vectorsMax, Math.floor((memoryBytesMax - rowsAt) / rowBytes));
  const free: number[] = [];
  let slotsUsed = 0;

  function acquire(): number {
    const reused = free.pop();
    if (reused !== undefined) return reused;
    if (slotsUsed >= slotsMax) {
      throw new CodedError("resource_exhausted", `the index holds ${slotsMax} vectors, its most`, {
        remedy: "Raise vectorsMax, remove content, or use an external vector engine.",
      });
    }
    growTo(rowsAt + (slotsUsed + 1) * rowBytes);
    return slotsUsed++;
  }

  function growTo(neededBytes: number): void {
    const presentBytes = memory.buffer.byteLength;
    if (neededBytes <= presentBytes) return;
    // A quarter more at a time: growth is in place, so the steps can be small.
    const goalBytes = Math.min(memoryBytesMax, Math.max(neededBytes, presentBytes * 1.25));
    memory.grow(Math.ceil((goalBytes - presentBytes) / pageBytes));
  }

  return { acquire, release: (slot) => void free.push(slot) };
}

/** L2 length; its inverse is finite for every vector that `checkVector` lets pass. */
export function lengthOf(vector: Float32Array): number {
  let squares = 0;
  for (let lane = 0; lane < vector.length; lane++)
    squares += (vector[lane] as number) * (vector[lane] as number);
  return Math.sqrt(squares);
}
