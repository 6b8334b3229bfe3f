import { CodedError } from "@millrace/errors";

/** What the file system says when it is the stream's own directory, or its volume, that can't be written. */
const ofDirectory: ReadonlySet<unknown> = new Set([
  "EACCES",
  "EPERM",
  "EROFS",
  "ENOTDIR",
  "EISDIR",
  "ELOOP",
  "ENOENT",
  "ENOSPC",
  "EDQUOT",
]);

/**
 * The error as the handler gives it: one that blocks only this stream's storage says so, and is waited for,
 * since somebody will make room or correct the directory. The others are left as they are.
 */
export function asStreamBlock(caught: unknown): CodedError {
  const error = CodedError.from(caught, "store");
  if (error.code === "internal" && error.cause instanceof CodedError) return error;
  const system = (error.cause as { code?: unknown } | undefined)?.code ?? (caught as { code?: unknown }).code;
  if (error.code !== "resource_exhausted" && !ofDirectory.has(system)) return error;
  return new CodedError("unavailable", "store: the stream's directory cannot be written", {
    scope: "stream",
    field: "storage.root",
    remedy: "Make room there, or let output write to it; what is parked is stored then.",
    retryAfterMs: 1_000,
    cause: caught,
  });
}
