/** Levels as pino numbers them. */
export const levels = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60 } as const;

export interface LogLine {
  level: number;
  /** Undefined: the line tells none. */
  timeMs: number | undefined;
  message: string;
  fields: Record<string, unknown>;
}

/** What nats-server prints: `[pid] 2026/01/31 12:03:04.123456 [INF] sentence`. */
const serverLine = /^\[\d+\] (\d+)\/(\d+)\/(\d+) (\d+):(\d+):(\d+)\.\d+ \[(\w{3})\] (.*)$/;
const serverLevels: Record<string, number> = {
  TRC: levels.trace,
  DBG: levels.debug,
  INF: levels.info,
  WRN: levels.warn,
  ERR: levels.error,
  FTL: levels.fatal,
};

/** Known to all lines of a process, so they say nothing about this one. */
const constantFields = new Set(["level", "time", "msg", "service", "pid", "hostname", "name"]);

/**
 * Reads a line of ours (JSON, as pino writes it) or of nats-server; of anything else the text is the message.
 */
export function readLogLine(line: string, from: "stdout" | "stderr"): LogLine {
  const server = serverLine.exec(line);
  if (server !== null) return readServerLine(server);
  const record = parseRecord(line);
  if (record === undefined) {
    // Plain text on stderr is mostly a crash's stack.
    const level = from === "stderr" ? levels.warn : levels.info;
    return { level, timeMs: undefined, message: line, fields: {} };
  }
  const fields = Object.entries(record).filter(([name]) => !constantFields.has(name));
  return {
    level: levelOf(record.level),
    timeMs: timeOf(record.time),
    message: typeof record.msg === "string" ? record.msg : JSON.stringify(record.msg),
    fields: Object.fromEntries(fields),
  };
}

function readServerLine(found: RegExpExecArray): LogLine {
  const [, year, month, day, hour, minute, second, level = "", message = ""] = found;
  const at = new Date(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
  );
  return { level: serverLevels[level] ?? levels.info, timeMs: at.getTime(), message, fields: {} };
}

function parseRecord(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    const isLog = typeof value === "object" && value !== null && "level" in value && "msg" in value;
    return isLog ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function levelOf(level: unknown): number {
  if (typeof level === "number") return level;
  return levels[level as keyof typeof levels] ?? levels.info;
}

function timeOf(time: unknown): number | undefined {
  const at = typeof time === "string" ? Date.parse(time) : time;
  return typeof at === "number" && Number.isFinite(at) ? at : undefined;
}
