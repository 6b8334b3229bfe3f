import { spawn } from "node:child_process";

/** How a program ended. */
export interface ProgramEnd {
  /** Null after a signal, as when it was killed for taking too long. */
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface ProgramToRun {
  args: readonly string[];
  env?: NodeJS.ProcessEnv;
  /** It is killed then: a program that hangs fails its test. */
  timeoutMs: number;
}

/** Runs a program of ours with this Node, from its start to its end. */
export function runToEnd({ args, env, timeoutMs }: ProgramToRun): Promise<ProgramEnd> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: timeoutMs,
      killSignal: "SIGKILL",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}
