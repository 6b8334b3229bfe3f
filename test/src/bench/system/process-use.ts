import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What a process has used, from /proc; Linux only. */
export interface ProcessUse {
  cpuSeconds: number;
  /** Of them in the kernel: reads, writes, sockets, page faults of fresh memory. */
  kernelSeconds: number;
  /** Memory that is its own: heap, buffers, stacks; not the page cache of mapped files. */
  rssAnonMb: number;
}

/** Clock ticks a second, as the kernel tells them to programs: 100 on each platform that Node runs on. */
const ticksPerSecond = 100;

function useOf(pid: number): ProcessUse | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name, in parentheses, may hold blanks; what follows begins with field 3.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const kernelTicks = Number(fields[12]);
    const ticks = Number(fields[11]) + kernelTicks;
    const anonKb = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return {
      cpuSeconds: ticks / ticksPerSecond,
      kernelSeconds: kernelTicks / ticksPerSecond,
      rssAnonMb: (Number(anonKb ?? 0) * 1024) / 1e6,
    };
  } catch {
    return undefined;
  }
}

/** Pids by name, as the supervisor notes them; of a guarded program that of the program, not of its guard. */
function runningPids(runDir: string): Map<string, number> {
  const pids = new Map<string, number>();
  for (const file of readdirSync(runDir).sort()) {
    const name = /^([a-z-]+)(\.guarded)?\.pid$/.exec(file);
    if (name?.[1] === undefined || (name[2] === undefined && pids.has(name[1]))) continue;
    const { pid } = JSON.parse(readFileSync(join(runDir, file), "utf8")) as { pid: number };
    pids.set(name[1], pid);
  }
  return pids;
}

export interface UseWatch {
  /** CPU is counted from here on. */
  restart(): void;
  /** By program: CPU seconds since `watchUse` or `restart`, and the most memory seen. */
  stop(): Map<string, ProcessUse>;
}

/** Samples the programs of a local system each second. */
export function watchUse(stateDir: string): UseWatch {
  const pids = runningPids(join(stateDir, "run"));
  const first = new Map<string, ProcessUse>();
  const last = new Map<string, ProcessUse>();
  const sample = (): void => {
    for (const [name, pid] of pids) {
      const use = useOf(pid);
      if (use === undefined) continue;
      if (!first.has(name)) first.set(name, use);
      const rssAnonMb = Math.max(use.rssAnonMb, last.get(name)?.rssAnonMb ?? 0);
      last.set(name, { ...use, rssAnonMb });
    }
  };
  sample();
  const timer = setInterval(sample, 1_000).unref();
  return {
    restart: () => {
      first.clear();
      sample();
    },
    stop: () => {
      clearInterval(timer);
      sample();
      const used = [...last].map(([name, use]): [string, ProcessUse] => {
        const before = first.get(name);
        const cpuSeconds = use.cpuSeconds - (before?.cpuSeconds ?? 0);
        const kernelSeconds = use.kernelSeconds - (before?.kernelSeconds ?? 0);
        return [name, { cpuSeconds, kernelSeconds, rssAnonMb: use.rssAnonMb }];
      });
      return new Map(used);
    },
  };
}
