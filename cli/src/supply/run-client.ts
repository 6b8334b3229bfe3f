import { type ChildProcess, spawn } from "node:child_process";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@millrace/errors";

export interface ClientRun {
  command: string;
  args: string[];
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Gives up after this long without a byte of output and without growth of `watchDir`, in milliseconds. */
  idleMs: number;
  /** The folder that the client fills; its growth is a sign of life of a client that prints nothing. */
  watchDir?: string;
  signal?: AbortSignal;
}

export interface ClientResult {
  stdout: string;
  stderr: string;
}

/** Most of a client's output that is kept, per stream; the end is what explains a failure. */
const outputBytesMax = 256 * 1024;
const killAfterMs = 2_000;

/**
 * Runs a registry's own client to its end. `not_found`: it is not installed; `deadline_exceeded`: it was
 * silent for `idleMs`; `unavailable`: it failed, with its last line in the message; `canceled`: `signal`
 * fired. The client has its own process group, which ends with it and with us.
 */
export async function runClient(run: ClientRun): Promise<ClientResult> {
  if (run.signal?.aborted) throw interrupted(run.command);
  const child = spawn(run.command, run.args, {
    cwd: run.cwd,
    env: run.env ?? process.env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const release = endWithUs(child);
  const watch = watchForLife(child, run);
  try {
    const { code, signal } = await ended(child, run.command);
    if (watch.stopped !== undefined) throw watch.stopped;
    const result = { stdout: watch.stdout(), stderr: watch.stderr() };
    if (code === 0) return result;
    const last = lastLine(result.stderr) ?? lastLine(result.stdout) ?? "it printed nothing";
    throw new CodedError("unavailable", `${run.command} ended with ${signal ?? `code ${code}`}: ${last}`);
  } finally {
    watch.end();
    killGroup(child, "SIGKILL");
    release();
  }
}

function interrupted(command: string): CodedError {
  return new CodedError("canceled", `${command} was interrupted`);
}

function ended(child: ChildProcess, command: string) {
  return new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.once("error", (error: NodeJS.ErrnoException) => {
      const missing = error.code === "ENOENT" || error.code === "EACCES";
      reject(
        missing
          ? new CodedError("not_found", `${command} is not installed`, { cause: error })
          : CodedError.from(error, `run ${command}`),
      );
    });
    // "exit", not "close": a grandchild that keeps the pipe open must not hold us.
    child.once("exit", (code, signal) => setImmediate(resolve, { code, signal }));
  });
}

interface LifeWatch {
  /** Why the client was stopped by us; undefined while it may run. */
  stopped: CodedError | undefined;
  stdout: () => string;
  stderr: () => string;
  end: () => void;
}

function watchForLife(child: ChildProcess, run: ClientRun): LifeWatch {
  let lastSignMs = performance.now();
  let watchedBytes = -1;
  const sign = () => {
    lastSignMs = performance.now();
  };
  const stop = (why: CodedError) => {
    if (watch.stopped !== undefined) return;
    watch.stopped = why;
    killGroup(child, "SIGTERM");
    setTimeout(() => killGroup(child, "SIGKILL"), killAfterMs).unref();
  };
  const cancel = () => stop(interrupted(run.command));
  const timer = setInterval(
    async () => {
      const bytes = run.watchDir === undefined ? watchedBytes : await folderBytes(run.watchDir);
      if (bytes !== watchedBytes) sign();
      watchedBytes = bytes;
      if (performance.now() - lastSignMs < run.idleMs) return;
      const seconds = Math.max(1, Math.round(run.idleMs / 1000));
      stop(new CodedError("deadline_exceeded", `${run.command} gave no sign of life for ${seconds} s`));
    },
    Math.min(1_000, run.idleMs / 4),
  );
  run.signal?.addEventListener("abort", cancel, { once: true });
  const watch: LifeWatch = {
    stopped: undefined,
    stdout: collect(child.stdout, sign),
    stderr: collect(child.stderr, sign),
    end: () => {
      clearInterval(timer);
      run.signal?.removeEventListener("abort", cancel);
      child.stdout?.destroy();
      child.stderr?.destroy();
    },
  };
  return watch;
}

function collect(readable: NodeJS.ReadableStream | null, onBytes: () => void): () => string {
  let kept = "";
  readable?.setEncoding("utf8");
  readable?.on("data", (part: string) => {
    onBytes();
    kept = (kept + part).slice(-outputBytesMax);
  });
  return () => kept;
}

function lastLine(text: string): string | undefined {
  return text.trimEnd().split("\n").at(-1)?.trim() || undefined;
}

/** Bytes of all files below `folder`; what vanishes meanwhile counts as nothing. */
export async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      stat(join(entry.parentPath, entry.name)).then(
        (found) => found.size,
        () => 0,
      ),
    );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone, which is what was wanted.
  }
}

/** A group of its own does not get the terminal's Ctrl-C; it must not outlive us all the same. */
function endWithUs(child: ChildProcess): () => void {
  const onExit = () => killGroup(child, "SIGKILL");
  const onSignal = (signal: NodeJS.Signals) => {
    killGroup(child, "SIGKILL");
    // Ours was the only listener: do what the signal would have done without it.
    if (process.listenerCount(signal) === 1) {
      release();
      process.kill(process.pid, signal);
    }
  };
  const release = () => {
    process.off("exit", onExit);
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  };
  process.on("exit", onExit);
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  return release;
}
