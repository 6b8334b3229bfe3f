import type { EventQueue, TriggerChange, TriggerName } from "@millrace/messaging";
import type { Trigger, TriggerReport } from "@millrace/proto/trigger";
import type { Clock, Component, Logger } from "@millrace/runtime";
import type { ActionOutcome } from "./action.js";
import { createReporter, type Reporter } from "./reporter.js";
import { type HandleEvent, startTriggerWorker, type TriggerWorker } from "./trigger-worker.js";

export interface TriggerRunnerParts {
  onTrigger(listener: (change: TriggerChange) => void): void;
  openQueue(of: TriggerName, trigger: Trigger): Promise<EventQueue>;
  removeQueue(of: TriggerName, trigger: Trigger): Promise<void>;
  reports: {
    read(of: TriggerName): Promise<TriggerReport | undefined>;
    write(of: TriggerName, report: TriggerReport): Promise<void>;
    remove(of: TriggerName): Promise<void>;
  };
  /** What is done with each event of a trigger. */
  handlerOf(of: TriggerName, trigger: Trigger, onOutcome: (outcome: ActionOutcome) => void): HandleEvent;
  clock: Clock;
  log: Logger;
}

interface Running {
  trigger: Trigger;
  worker: TriggerWorker;
  reporter: Reporter;
}

const againMs = 1_000;

/** Keeps a worker for each trigger that is on, as CONFIG has it; one after the other for each. */
export function createTriggerRunner(parts: TriggerRunnerParts): Component {
  const { clock, log } = parts;
  const stopping = new AbortController();
  const running = new Map<string, Running>();
  const turns = new Map<string, Promise<void>>();
  let hard: AbortSignal | undefined;

  async function end(key: string): Promise<void> {
    const before = running.get(key);
    if (before === undefined) return;
    running.delete(key);
    await before.worker.stop(hard);
    before.reporter.stop();
  }

  /** Whether its target wanted no more of it, as it is set now. */
  async function isDisabled(of: TriggerName, { updatedMs }: Trigger): Promise<boolean> {
    while (!stopping.signal.aborted) {
      try {
        const report = await parts.reports.read(of);
        return report?.disabled === true && report.updatedMs === updatedMs;
      } catch (caught) {
        log.warn("report of a trigger not read, trying again", { error: String(caught) });
        await clock.sleep(againMs, stopping.signal);
      }
    }
    return true;
  }

  async function begin(key: string, of: TriggerName, trigger: Trigger): Promise<void> {
    if (stopping.signal.aborted || trigger.paused || (await isDisabled(of, trigger))) return;
    const write = (report: TriggerReport): Promise<void> => parts.reports.write(of, report);
    const reporter = createReporter({ write, updatedMs: trigger.updatedMs, clock, log });
    const onOutcome = (outcome: ActionOutcome): void => {
      reporter.tell(outcome);
      if (outcome.kind === "gone") running.get(key)?.worker.disable();
    };
    const handle = parts.handlerOf(of, trigger, onOutcome);
    const openQueue = (): Promise<EventQueue> => parts.openQueue(of, trigger);
    running.set(key, { trigger, reporter, worker: startTriggerWorker({ openQueue, handle, clock, log }) });
  }

  async function change(key: string, { trigger, ...of }: TriggerChange, before: Trigger | undefined) {
    await end(key);
    if (before !== undefined && before.createdMs !== trigger?.createdMs) {
      await parts.removeQueue(of, before);
      if (trigger === undefined) await parts.reports.remove(of);
    }
    if (trigger !== undefined) await begin(key, of, trigger);
  }

  const known = new Map<string, Trigger>();
  parts.onTrigger((changed) => {
    const key = `${changed.tenant}/${changed.stream}/${changed.id}`;
    const before = known.get(key);
    if (changed.trigger === undefined) known.delete(key);
    else known.set(key, changed.trigger);
    const turn = (turns.get(key) ?? Promise.resolve())
      .then(() => change(key, changed, before))
      .catch((caught: unknown) => log.warn("trigger not changed in full", { error: String(caught) }))
      .finally(() => {
        if (turns.get(key) === turn) turns.delete(key);
      });
    turns.set(key, turn);
  });

  return {
    name: "triggers",
    stop: async (signal) => {
      hard = signal;
      stopping.abort();
      await Promise.all([...running.keys()].map(end));
      await Promise.all(turns.values());
      await Promise.all([...running.keys()].map(end));
    },
  };
}
