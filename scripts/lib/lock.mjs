import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { say } from "./progress.mjs";

/**
 * The holder touches its file this often; a file that was left alone for `staleMs` has no holder any more.
 */
const touchMs = 2_000;
const staleMs = 15_000;
const pollMs = 200;

/**
 * Runs `work` while no other process of this checkout does. The lock is a file that holds the pid; its holder
 * is gone when that process is, or when the file was not touched lately (the pid may be of another
 * container).
 *
 * @template T
 * @param {string} path
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(path, work) {
  mkdirSync(dirname(path), { recursive: true });
  for (let told = false; !take(path); told = true) {
    const holder = holderOf(path);
    if (holder.gone) rmSync(path, { force: true });
    else {
      if (!told) say(`set-up: waiting for process ${holder.pid}, which sets this checkout up (${path})`);
      await sleep(pollMs);
    }
  }
  const touch = setInterval(() => {
    const now = new Date();
    utimesSync(path, now, now);
  }, touchMs);
  const release = () => {
    clearInterval(touch);
    if (holderOf(path).pid === process.pid) rmSync(path, { force: true });
  };
  process.once("exit", release);
  try {
    return await work();
  } finally {
    process.off("exit", release);
    release();
  }
}

/** @param {string} path */
function take(path) {
  try {
    writeFileSync(path, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

/**
 * @param {string} path
 * @returns {{ pid: number, gone: boolean }}
 */
function holderOf(path) {
  try {
    const pid = Number(readFileSync(path, "utf8"));
    const untouchedMs = Date.now() - statSync(path).mtimeMs;
    return { pid, gone: untouchedMs > staleMs || (pid > 0 && !isAlive(pid)) };
  } catch {
    // Released between the two looks.
    return { pid: 0, gone: false };
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
