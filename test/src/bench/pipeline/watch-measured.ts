import { CodedError } from "@millrace/errors";
import { type ProcessUse, watchUse } from "../system/process-use.js";
import type { StoredSample } from "./stored/rates.js";

export interface MeasuredUse {
  /** The first sample with `from` messages stored or more; the beginning where none is short of `to`. */
  first: StoredSample;
  /** The first with `to`. */
  last: StoredSample;
  /** CPU of this process between the two: watching costs something too. */
  watchingCpuSeconds: number;
  byProcess: Map<string, ProcessUse>;
}

/** Counts what is used between two counts of stored messages; `see` is told of each count on the way. */
export function watchMeasured(stateDir: string, { from, to }: { from: number; to: number }) {
  const watch = watchUse(stateDir);
  let first = { ms: performance.now(), stored: 0 };
  let cpu = process.cpuUsage();
  let measured: MeasuredUse | undefined;
  return {
    see(sample: StoredSample): void {
      if (measured !== undefined) return;
      if (sample.stored >= to) {
        const { user, system } = process.cpuUsage(cpu);
        const watchingCpuSeconds = (user + system) / 1e6;
        measured = { first, last: sample, watchingCpuSeconds, byProcess: watch.stop() };
      } else if (first.stored === 0 && from > 0 && sample.stored >= from) {
        first = sample;
        cpu = process.cpuUsage();
        watch.restart();
      }
    },
    stop(): MeasuredUse {
      if (measured !== undefined) return measured;
      watch.stop();
      throw new CodedError("internal", `bench: ${to} messages were to be measured and were not stored`);
    },
  };
}
