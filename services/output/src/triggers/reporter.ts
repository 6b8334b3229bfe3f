import type { TriggerReport } from "@millrace/proto/trigger";
import type { Clock, Logger } from "@millrace/runtime";
import type { ActionOutcome } from "./action.js";

/** What others are told of a trigger: each change of how it fares at once, its last success now and then. */
export interface Reporter {
  tell(outcome: ActionOutcome): void;
  stop(): void;
}

const lastDoneEveryMs = 5_000;

export function createReporter(options: {
  write(report: TriggerReport): Promise<void>;
  /** Of the trigger. */
  updatedMs: number;
  clock: Pick<Clock, "now" | "monotonic">;
  log: Logger;
}): Reporter {
  const { write, updatedMs, clock, log } = options;
  let report: TriggerReport = {
    updatedMs,
    failing: false,
    disabled: false,
    lastError: "",
    lastErrorMs: 0,
    lastDoneMs: 0,
  };
  let writtenAt = -Infinity;
  let stopped = false;
  let last = Promise.resolve();

  function put(): void {
    if (stopped) return;
    writtenAt = clock.monotonic();
    const now = report;
    last = last
      .then(() => write(now))
      .catch((caught: unknown) => log.warn("report of a trigger not written", { error: String(caught) }));
  }

  return {
    tell: (outcome) => {
      // It tells nothing of the target.
      if (outcome.kind === "absent") return;
      const before = report;
      const nowMs = Math.round(clock.now());
      if (outcome.kind === "done") report = { ...before, failing: false, lastDoneMs: nowMs };
      else {
        const disabled = outcome.kind === "gone";
        report = { ...before, failing: true, disabled, lastError: outcome.reason, lastErrorMs: nowMs };
      }
      const isNews =
        report.failing !== before.failing ||
        report.disabled !== before.disabled ||
        report.lastError !== before.lastError;
      if (isNews || clock.monotonic() - writtenAt >= lastDoneEveryMs) put();
    },
    stop: () => {
      stopped = true;
    },
  };
}
