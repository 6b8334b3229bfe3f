import { assert } from "@millrace/errors";
import { prefilterWasmBase64 } from "./prefilter-wasm.js";

/** Memory map of prefilter.wat. */
const tileOffset = 64;
const resultOffset = 0x10000;
/** Bytes beside the tile that the patterns look at. */
const marginBytes = 64;

/**
 * Bytes of one call: fits the first two caches together with its class bits, and bounds the memory of a
 * scanner.
 */
export const tileBytes = 32_768;

export interface Prefilter {
  /** Offsets relative to the tile, valid up to the count that `scanTile` returned and until its next call. */
  readonly offsets: Uint32Array;
  /**
   * Lists the candidates in [start, min(start + tileBytes, end)), in order; `start` is a multiple of
   * tileBytes.
   */
  scanTile(body: Uint8Array, start: number): number;
}

/** The part of the platform's interface that is used here; Node's own types leave it out. */
declare const WebAssembly: {
  Module: new (code: Uint8Array) => object;
  Instance: new (module: object) => { readonly exports: Record<string, unknown> };
};

interface PrefilterExports {
  memory: { readonly buffer: ArrayBuffer };
  scan: (bytes: number) => number;
}

/** A prefilter with its own 192 KiB of memory. */
export function createPrefilter(): Prefilter {
  const code = Buffer.from(prefilterWasmBase64, "base64");
  const { memory, scan } = exportsOf(new WebAssembly.Instance(new WebAssembly.Module(code)).exports);
  const input = new Uint8Array(memory.buffer, 0, resultOffset);
  const offsets = new Uint32Array(memory.buffer, resultOffset, tileBytes);

  return {
    offsets,
    scanTile(body, start): number {
      const length = Math.min(tileBytes, body.length - start);
      const copyFrom = Math.max(0, start - marginBytes);
      const copyTo = Math.min(body.length, start + tileBytes + marginBytes);
      if (start === 0) input.fill(0, 0, tileOffset);
      input.set(body.subarray(copyFrom, copyTo), tileOffset + copyFrom - start);
      // What an earlier, longer tile left must not be read: the last word and the one after it are looked at.
      const copied = tileOffset + copyTo - start;
      input.fill(0, copied, copied + 2 * marginBytes);
      return scan(length);
    },
  };
}

function exportsOf(exports: Record<string, unknown>): PrefilterExports {
  const { memory, scan } = exports as Partial<PrefilterExports>;
  assert(memory !== undefined && scan !== undefined, "the prefilter exports its memory and scan");
  return { memory, scan };
}
