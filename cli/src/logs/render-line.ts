import { type LogLine, levels, readLogLine } from "./log-line.js";

export interface RenderOptions {
  colour: boolean;
  /** Shows every line; otherwise warnings, and what a program marks with the field `notice`. */
  verbose: boolean;
  /** Dates lines that tell no time. */
  now: () => number;
}

/** A line for a person, or undefined where it is not for the console. */
export type RenderLine = (program: string, line: string, from: "stdout" | "stderr") => string | undefined;

const nameWidth = 15;
const valueCharsMax = 300;
const marks: Record<string, string> = { warn: "33", error: "31", fatal: "31" };

/** `12:03:04 privacy         info  sentence key=value`, in local time. */
export function lineRenderer(options: RenderOptions): RenderLine {
  return (program, line, from) => {
    const read = readLogLine(line, from);
    const isNotice = read.fields.notice === true;
    if (!options.verbose && !isNotice && read.level < levels.warn) return undefined;
    const level = levelName(read.level);
    const paint = (code: string, text: string) => (options.colour ? `\u001b[${code}m${text}\u001b[0m` : text);
    const time = paint("2", clockTime(read.timeMs ?? options.now()));
    const mark = marks[level];
    const shown = level.padEnd(5);
    const name = printable(program).padEnd(nameWidth);
    return `${time} ${paint("36", name)} ${mark ? paint(mark, shown) : shown} ${sentence(read)}`;
  };
}

/** The sentence and fields alone, for a quotation. */
export function renderPlain(line: string): string {
  return sentence(readLogLine(line, "stdout"));
}

function sentence({ message, fields }: LogLine): string {
  const pairs = Object.entries(fields)
    .filter(([name, value]) => name !== "notice" && value !== undefined)
    .map(([name, value]) => ` ${printable(name)}=${renderValue(value)}`);
  return printable(message) + pairs.join("");
}

function renderValue(value: unknown): string {
  if (typeof value === "object" && value !== null && "message" in value) return renderValue(value.message);
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const short = text.length > valueCharsMax ? `${text.slice(0, valueCharsMax)}…` : text;
  return typeof value === "string" && /[\s"=]/.test(short) ? JSON.stringify(short) : printable(short);
}

/** A program must not be able to steer the terminal: control characters are shown, not sent. */
function printable(text: string): string {
  return text.replaceAll(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g, (char) => {
    return `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}

function levelName(level: number): string {
  const names = Object.entries(levels).filter(([, number]) => number <= level);
  return names.at(-1)?.[0] ?? "trace";
}

function clockTime(atMs: number): string {
  const at = new Date(atMs);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((n) => String(n).padStart(2, "0")).join(":");
}
