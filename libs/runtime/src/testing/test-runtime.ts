import { systemClock, systemRandom } from "../clock.js";
import { silentLogger } from "../logger.js";
import { createMetrics } from "../metrics.js";
import type { Runtime } from "../run-service.js";

/**
 * What components are built with, for tests: silent, on real time, with a `fail` and a `kill` that throw
 * unless replaced.
 */
export function testRuntime(over: Partial<Runtime> = {}): Runtime {
  return {
    service: "test",
    instance: "0",
    version: "0.0.0",
    log: silentLogger,
    metrics: createMetrics("test", "0"),
    clock: systemClock,
    random: systemRandom,
    fail: (reason) => {
      throw reason;
    },
    kill: (reason) => {
      throw reason;
    },
    handlingMsMax: 60_000,
    ...over,
  };
}
