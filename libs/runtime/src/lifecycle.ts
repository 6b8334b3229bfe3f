import { setMaxListeners } from "node:events";
import { CodedError } from "@millrace/errors";
import type { Logger } from "./logger.js";

/**
 * What a service is made of. States of the whole:
 *
 *     new → starting → running → draining → stopped
 *              └──────────┴─────────┴─────→ failed
 *
 * Components start in order and stop in reverse, so whatever is used outlives its users.
 */
export interface Component {
  name: string;
  start?(): Promise<void>;
  /** Finishes what is in flight; after `hard` is aborted it gives up what is left. */
  stop?(hard: AbortSignal): Promise<void>;
  /** Undefined: well. A sentence: what is wrong. Computed, never a constant. */
  health?(): string | undefined;
}

export type State = "new" | "starting" | "running" | "draining" | "stopped" | "failed";

export interface Lifecycle {
  state(): State;
  /** Sentences of the components that are not well, by name. Empty: ready. */
  unhealthy(): Map<string, string>;
  start(): Promise<void>;
  stop(drainTimeoutMs: number): Promise<void>;
}

export function createLifecycle(components: readonly Component[], log: Logger): Lifecycle {
  let state: State = "new";
  const started: Component[] = [];
  const stop = async (drainTimeoutMs: number): Promise<void> => {
    if (state === "draining" || state === "stopped") return;
    const failed = state === "failed";
    state = "draining";
    const hard = new AbortController();
    // Each consumer of a service listens to it, and there are dozens.
    setMaxListeners(0, hard.signal);
    const timer = setTimeout(() => {
      log.warn("drain timeout passed, giving up work in flight", { drain_timeout_ms: drainTimeoutMs });
      hard.abort();
    }, drainTimeoutMs);
    for (const component of started.toReversed()) {
      try {
        await stopOne(component, hard.signal);
      } catch (caught) {
        log.error("component did not stop", { component: component.name, error: String(caught) });
      }
    }
    clearTimeout(timer);
    state = failed ? "failed" : "stopped";
  };
  return {
    state: () => state,
    unhealthy: () => {
      const sentences = new Map<string, string>();
      if (state !== "running") sentences.set("lifecycle", `state is ${state}`);
      for (const component of started) {
        const sentence = component.health?.();
        if (sentence !== undefined) sentences.set(component.name, sentence);
      }
      return sentences;
    },
    start: async () => {
      state = "starting";
      for (const component of components) {
        // Stopped while it was starting: what has not begun yet must not begin.
        if (state !== "starting") return;
        started.push(component);
        try {
          await component.start?.();
        } catch (caught) {
          if (state === "starting") state = "failed";
          throw CodedError.from(caught, `start ${component.name}`);
        }
      }
      if (state === "starting") state = "running";
    },
    stop,
  };
}

/** How long a component may take to give up once it was told to. */
const giveUpMs = 2_000;

/**
 * Stops a component; one that goes on after `hard` is left behind, since those it uses wait for their turn.
 */
async function stopOne(component: Component, hard: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let count = (): void => undefined;
  const overdue = new Promise<never>((_resolve, reject) => {
    const error = new CodedError("deadline_exceeded", `stop ${component.name}: did not give up`);
    count = () => {
      timer = setTimeout(() => reject(error), giveUpMs);
    };
  });
  if (hard.aborted) count();
  else hard.addEventListener("abort", count, { once: true });
  try {
    await Promise.race([component.stop?.(hard), overdue]);
  } finally {
    clearTimeout(timer);
    hard.removeEventListener("abort", count);
  }
}
