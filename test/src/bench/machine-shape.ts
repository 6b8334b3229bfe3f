import { execFileSync } from "node:child_process";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";

/** What a figure depends on besides the code. */
export interface MachineShape {
  cores: number;
  cpu: string;
  memory_gib: number;
  node: string;
  nats_server: string;
  kernel: string;
  platform: string;
  /** Of the last minute, before anything was started: other work makes every figure worse. */
  load_before: number;
}

export function machineShape(natsServerPath: string): MachineShape {
  const version = execFileSync(natsServerPath, ["--version"], { encoding: "utf8" });
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    memory_gib: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    nats_server: /\d+\.\d+\.\d+/.exec(version)?.[0] ?? version.trim(),
    kernel: release(),
    platform: `${process.platform}-${process.arch}`,
    load_before: loadavg()[0] ?? 0,
  };
}

/** The commit that is checked out, with `+` where files differ from it. */
export function commitOf(root: string): string {
  try {
    const git = (...args: string[]): string =>
      execFileSync("git", ["-C", root, ...args], { encoding: "utf8" });
    const changed = git("status", "--porcelain", "--untracked-files=no").trim() !== "";
    return git("rev-parse", "--short=12", "HEAD").trim() + (changed ? "+" : "");
  } catch {
    return "unknown";
  }
}
