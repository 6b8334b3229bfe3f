import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { obtainSupplies, type Supplies, workspace } from "../system/supplies.js";
import type { BenchOptions } from "./bench-options.js";
import { type MachineShape, machineShape } from "./machine-shape.js";
import { line, note } from "./report.js";

/** What every bench is given. */
export interface BenchContext {
  options: BenchOptions;
  /** Where the workspace lies. */
  root: string;
  /** A directory of this run; it is gone afterwards. */
  workDir: string;
  supplies: Supplies;
  shape: MachineShape;
  /** Ctrl-C. */
  signal: AbortSignal;
}

/** Runs a bench in a directory of its own, which is removed whatever happens. */
export async function inContext(
  options: BenchOptions,
  signal: AbortSignal,
  run: (context: BenchContext) => Promise<void>,
): Promise<void> {
  const workDir = mkdtempSync(join(options.dir ?? tmpdir(), "millrace-bench-"));
  const clean = (): void => rmSync(workDir, { recursive: true, force: true, maxRetries: 3 });
  process.on("exit", clean);
  try {
    const supplies = await obtainSupplies({ log: note, signal });
    const shape = machineShape(supplies.natsServerPath);
    line(`machine: ${shape.cores} cores, ${shape.cpu}, ${shape.memory_gib} GiB, ${shape.platform}`);
    line(`         Node ${shape.node}, nats-server ${shape.nats_server}, kernel ${shape.kernel}`);
    if (shape.load_before > 0.5)
      note(`load is ${shape.load_before.toFixed(2)}: other work makes figures worse`);
    await run({ options, root: workspace, workDir, supplies, shape, signal });
  } finally {
    clean();
    process.off("exit", clean);
  }
}
