/*
 * The kernel is scan-kernel.wat, assembled; a test assembles the text again and compares. It is kept here as
 * text so that no build step and no file beside the code is needed.
 */
const kernelBase64 =
  "AGFzbQEAAAABCgFgBn9/f39/fwACEwEEaG9zdAZtZW1vcnkCAQGAgAQDAgEABwgBBHNjYW4AAAqRAgGOAgIEfwN7IAAgAUECdGoh" +
  "BgJAA0AgACAGTw0BIAMgACgCACAEbGohByAHIARqIQggAiEJ/QwAAAAAAAAAAAAAAAAAAAAAIQv9DAAAAAAAAAAAAAAAAAAAAAAh" +
  "DANAIAf9AAQAIQogCyAJ/QAEACAK/acBQQ39qwH9DADg/48A4P+PAOD/jwDg/4/9Tv3mAf3kASELIAwgCf0ABBAgCv2oAUEN/asB" +
  "/QwA4P+PAOD/jwDg/48A4P+P/U795gH95AEhDCAJQSBqIQkgB0EQaiEHIAcgCEcNAAsgCyAM/eQBIQsgBSAL/R8AIAv9HwGSIAv9" +
  "HwIgC/0fA5KSOAIAIABBBGohACAFQQRqIQUMAAsLCw==";

interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** What we use of the platform's WebAssembly; the compiler's library for Node has no types of it. */
interface WasmPlatform {
  Memory: new (limits: { initial: number; maximum: number }) => WasmMemory;
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: { scan: Scan } };
}

type Scan = (
  ...places: [slots: number, count: number, query: number, rows: number, rowBytes: number, scores: number]
) => void;

export interface ScanKernel {
  memory: WasmMemory;
  /** All arguments are byte offsets in `memory` except the count; layouts are drawn in scan-kernel.wat. */
  scan: Scan;
}

export const pageBytes = 65_536;

/** The most WebAssembly memory there can be, in bytes: 32-bit addresses. */
export const memoryBytesMax = 65_536 * pageBytes;

/** The query's components are multiplied by this before they are stored for `scan`. */
export const queryScale = 2 ** 112;

export function kernelBytes(): Uint8Array {
  return Buffer.from(kernelBase64, "base64");
}

/** A memory that grows in place, without copying what it holds, and the kernel that scans it. */
export function createScanKernel(initialBytes: number): ScanKernel {
  const platform = (globalThis as unknown as { WebAssembly: WasmPlatform }).WebAssembly;
  const initial = Math.ceil(initialBytes / pageBytes);
  const memory = new platform.Memory({ initial, maximum: memoryBytesMax / pageBytes });
  const instance = new platform.Instance(new platform.Module(kernelBytes()), { host: { memory } });
  return { memory, scan: instance.exports.scan };
}
