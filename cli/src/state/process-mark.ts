import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/**
 * Tells a process from a later one with the same pid: the moment of its start, in whatever form the system
 * gives it. undefined: there is no such process.
 */
export function processMark(pid: number): string | undefined {
  return process.platform === "linux" ? linuxMark(pid) : otherMark(pid);
}

/** Field 22 of /proc/<pid>/stat (ticks since boot) and the boot's id. The name in field 2 may hold spaces. */
function linuxMark(pid: number): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "latin1");
    const afterName = fields.slice(fields.lastIndexOf(")") + 2).split(" ");
    // A zombie has ended; only its parent has not looked yet.
    if (afterName[0] === "Z") return undefined;
    return `${afterName[19]}@${readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()}`;
  } catch {
    return undefined;
  }
}

function otherMark(pid: number): string | undefined {
  try {
    const started = execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return started.trim() || undefined;
  } catch {
    return undefined;
  }
}
