import { type ChildProcess, spawn } from "node:child_process";

/**
 * Ends a child with this process, however that ends: a shell waits for the end of a pipe that only we hold.
 */
export function guard(child: ChildProcess): void {
  const script = 'cat >/dev/null; kill -9 "$1" 2>/dev/null';
  const shell = spawn("sh", ["-c", script, "guard", String(child.pid)], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  shell.unref();
  const end = (): void => void child.kill("SIGKILL");
  process.once("exit", end);
  child.once("exit", () => {
    process.off("exit", end);
    // Its pid may be another's from now on.
    shell.kill("SIGKILL");
  });
}
