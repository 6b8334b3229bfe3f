import { once } from "node:events";
import { Worker } from "node:worker_threads";

/**
 * The watching thread. It counts its own looks and no clock, so that a process that was stopped as a whole
 * and goes on again is not taken for one that hangs.
 */
const program = `
const { workerData } = require("node:worker_threads");
const beats = new Int32Array(workerData.beats);
let seen = -1;
let looks = 0;
setInterval(() => {
  const now = Atomics.load(beats, 0);
  looks = now === seen ? looks + 1 : 0;
  seen = now;
  if (looks >= workerData.looksMax) process.kill(process.pid, "SIGKILL");
}, workerData.lookMs);
`;

const lookMs = 500;

export interface Watchdog {
  /** Resolves when the thread is up, for which it needs the event loop. */
  watching: Promise<void>;
  stop(): Promise<void>;
}

/**
 * Ends the process by SIGKILL when its event loop has stood still for this long: an endless loop in a handler
 * would hold up everybody for ever. Who supervises starts the process again.
 */
export function startWatchdog(hangsMs: number): Watchdog {
  const beats = new SharedArrayBuffer(4);
  const count = new Int32Array(beats);
  const looksMax = Math.ceil(hangsMs / lookMs);
  const thread = new Worker(program, {
    eval: true,
    // Whatever the process was started with: the text above is no module.
    execArgv: [],
    workerData: { beats, lookMs, looksMax },
    // Small, since there is one in every process.
    resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 },
  });
  thread.unref();
  const timer = setInterval(() => Atomics.add(count, 0, 1), lookMs / 2).unref();
  return {
    watching: once(thread, "online").then(() => undefined),
    stop: async () => {
      clearInterval(timer);
      await thread.terminate();
    },
  };
}
