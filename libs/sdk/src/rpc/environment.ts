import { setTimeout as delay } from "node:timers/promises";

/**
 * Where the SDK tells what it cannot throw. The shape of pino and of `console`: fields first, then a
 * sentence.
 */
export interface Logger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Clock, randomness and waiting times, in milliseconds; tests bring their own. */
export interface Environment {
  /** Milliseconds since 1970: grpc-js takes deadlines as wall-clock times. */
  now: () => number;
  random: () => number;
  newId: () => string;
  /** Waits; ends early, without an error, when the signal fires. */
  sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** First and longest wait before connecting again. */
  backoffFirstMs: number;
  backoffMaxMs: number;
  /** The gateway sends a heartbeat each 15 s; after three missed ones the connection is taken for dead. */
  silenceMaxMs: number;
  /** Longest time a message waits for others to travel with. */
  lingerMs: number;
  /** How long published messages wait for a gateway that does not take them. */
  publishGiveUpMs: number;
}

export const systemEnvironment: Environment = {
  now: () => Date.now(),
  random: () => Math.random(),
  newId: () => crypto.randomUUID(),
  sleep: async (ms, signal) => {
    await delay(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  },
  backoffFirstMs: 100,
  backoffMaxMs: 5_000,
  silenceMaxMs: 45_000,
  lingerMs: 1,
  publishGiveUpMs: 60_000,
};

/**
 * Used where the application brings no logger: warnings of the process, since silence would hide its bugs.
 */
export const warningLogger: Logger = {
  info: () => undefined,
  warn: (fields, message) => process.emitWarning(message, { type: "Millrace", detail: detailOf(fields) }),
  error: (fields, message) => process.emitWarning(message, { type: "Millrace", detail: detailOf(fields) }),
};

function detailOf(fields: object): string {
  return Object.entries(fields)
    .map(
      ([name, value]) =>
        `${name}: ${value instanceof Error ? (value.stack ?? value.message) : String(value)}`,
    )
    .join("\n");
}
