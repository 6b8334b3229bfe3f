/** What tells that a program is up: an HTTP 2xx, a port that accepts, or a line that it prints. */
export type Readiness =
  | { kind: "http"; url: string }
  | { kind: "tcp"; host: string; port: number }
  | { kind: "line"; pattern: RegExp };

export interface ProgramSpec {
  /** Unique; prefixes its log lines and names its log file. */
  name: string;
  command: string;
  args: string[];
  cwd?: string;
  /** Added to the supervisor's own environment. */
  env?: Record<string, string>;
  ready: Readiness;
  /** Absent: 30 s. */
  readyTimeoutMs?: number;
  /** Asks for an orderly end; SIGTERM when absent. */
  stopSignal?: NodeJS.Signals;
  /** How long that end may take before SIGKILL; 15 s when absent. */
  stopTimeoutMs?: number;
  /**
   * Set for programs that are not ours. Ours stop when their stdin ends, so that they do not outlive a
   * supervisor that was killed; another program gets a guard process which does that for it.
   */
  guarded?: boolean;
}

export const readyTimeoutMsDefault = 30_000;
export const stopTimeoutMsDefault = 15_000;
export const stopSignalDefault: NodeJS.Signals = "SIGTERM";

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export function describeExit({ code, signal }: Exit): string {
  return signal === null ? `it ended with code ${code}` : `it was ended by ${signal}`;
}
