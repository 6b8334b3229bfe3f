import { existsSync, readFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/*
 * Imported by services whose disk is to fail on command: while the file `<MILLRACE_FAULT_DIR>/<service>`
 * exists, each call of the kind that it names fails.
 *
 *     sync    fsync and fdatasync give EIO
 *     write   writes give EIO
 *     short   a write of several buffers takes one byte less than half of them
 */
type Fault = "sync" | "write" | "short";

const service = /services\/([a-z-]+)\/dist\/main\.js$/.exec(process.argv[1] ?? "")?.[1] ?? "none";
const command = `${process.env["MILLRACE_FAULT_DIR"] ?? ""}/${service}`;

function isOn(fault: Fault): boolean {
  return existsSync(command) && readFileSync(command, "utf8") === fault;
}

function inputOutputError(syscall: string): Error {
  return Object.assign(new Error(`EIO: i/o error, ${syscall}`), { code: "EIO", syscall });
}

type Handle = Pick<FileHandle, "sync" | "datasync" | "write" | "writev">;
const handle = await open(process.execPath, "r");
const prototype = Object.getPrototypeOf(handle) as Handle;
await handle.close();
const { sync, datasync, write, writev } = prototype;

prototype.sync = function (this: Handle) {
  return isOn("sync") ? Promise.reject(inputOutputError("fsync")) : sync.call(this);
};
prototype.datasync = function (this: Handle) {
  return isOn("sync") ? Promise.reject(inputOutputError("fdatasync")) : datasync.call(this);
};
prototype.write = function (this: Handle, ...given: Parameters<typeof write>) {
  return isOn("write") ? Promise.reject(inputOutputError("write")) : write.apply(this, given);
} as typeof write;
prototype.writev = function (this: Handle, buffers: readonly Uint8Array[], position?: number) {
  if (isOn("write")) return Promise.reject(inputOutputError("writev"));
  const all = Buffer.concat(buffers);
  if (!isOn("short") || all.length < 2) return writev.call(this, buffers, position);
  return writev.call(this, [all.subarray(0, Math.ceil(all.length / 2) - 1 || 1)], position);
} as typeof writev;
