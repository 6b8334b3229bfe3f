import type { Writable } from "node:stream";
import { CodedError } from "@millrace/errors";

/** The one place where the command writes: results on stdout, all else on stderr. */
export interface Output {
  /** One line of a result; waits where the reader is slow. */
  line(text: string): Promise<void>;
  /** One JSON object a line. */
  json(value: object): Promise<void>;
  /** One line of a notice on stderr. */
  notice(text: string): void;
  /** An error as one line, with the field at fault and the remedy. */
  error(caught: unknown): void;
  /** Fires when nobody reads stdout any more (`millrace … | head`), which is no error. */
  readonly closed: AbortSignal;
}

export function createOutput(stdout: Writable, stderr: Writable): Output {
  const closing = new AbortController();
  const onError = (error: NodeJS.ErrnoException): void => {
    if (error.code !== "EPIPE") throw error;
    closing.abort();
  };
  stdout.on("error", onError);
  stderr.on("error", onError);
  const line = async (text: string): Promise<void> => {
    if (closing.signal.aborted || stdout.write(`${text}\n`)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        stdout.off("drain", done);
        closing.signal.removeEventListener("abort", done);
        resolve();
      };
      stdout.on("drain", done);
      closing.signal.addEventListener("abort", done);
    });
  };
  return {
    line,
    json: (value) => line(JSON.stringify(value, replaceBytes)),
    notice: (text) => void stderr.write(`${text}\n`),
    error: (caught) => void stderr.write(`${renderError(caught)}\n`),
    closed: closing.signal,
  };
}

/** `error: what was attempted and wrong (field: f). What to do.` */
export function renderError(caught: unknown): string {
  const error = CodedError.from(caught, "millrace");
  const field = error.field === undefined ? "" : ` (field: ${error.field})`;
  const remedy = error.remedy === undefined ? "" : ` ${error.remedy}`;
  return `error: ${oneLine(error.message)}${field}.${remedy}`;
}

/** Terminal escapes and line breaks in a text would let a message draw over other lines. */
export function oneLine(text: string): string {
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/gu, " ");
}

/** Rows under their heads, each column as wide as its widest cell. */
export function renderTable(heads: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const lines = [heads, ...rows];
  const widths = heads.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  return lines.map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** Bytes as base64: JSON.stringify would make an object of numbers of them. */
function replaceBytes(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value;
}
