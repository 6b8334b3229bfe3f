import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CodedError } from "@millrace/errors";

/** Left alone: somebody may need it meanwhile. */
const sparedBytes = 2e9;

/**
 * Touches most of the memory that is free, once, in a child that then ends. Many hypervisors give a guest its
 * memory at the first touch only, which costs the kernel seconds a GB: without this, what is measured first
 * measures the hypervisor. Returns how much and how long.
 */
export async function touchMemory(signal: AbortSignal): Promise<{ gb: number; seconds: number }> {
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1];
  const bytes = Math.max(0, Number(available ?? 0) * 1024 - sparedBytes);
  const begun = performance.now();
  const script = fileURLToPath(new URL("./touch-memory.js", import.meta.url));
  const child = spawn(process.execPath, [script, String(bytes)], { stdio: "inherit", signal });
  const [code] = (await once(child, "exit")) as [number | null];
  // The kernel may have ended it to give others what it held: no reason to measure nothing.
  if (code !== 0 && code !== null) throw new CodedError("internal", "bench: memory could not be touched");
  return { gb: bytes / 1e9, seconds: (performance.now() - begun) / 1e3 };
}
