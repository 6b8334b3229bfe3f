import type { Component, Runtime } from "@millrace/runtime";
import type { BatchPublisher } from "./batch-publisher.js";

const lookMs = 100;

/**
 * For a process that serves the bodies it wrote to other nodes: its stop waits until the stages behind it are
 * through with them, since they can't be read while it is away. It goes behind the server in the list of
 * components, and before whatever publishes.
 */
export function drainBodies(
  batches: readonly Pick<BatchPublisher, "heldBodies">[],
  { clock, log }: Pick<Runtime, "clock" | "log">,
): Component {
  const held = (): number => batches.reduce((sum, publisher) => sum + publisher.heldBodies(), 0);
  return {
    name: "body-drain",
    stop: async (hard) => {
      if (held() > 0) log.info("bodies are served until the later stages settle them", { bodies: held() });
      while (held() > 0 && !hard.aborted) await clock.sleep(lookMs, hard);
      if (held() > 0) log.warn("bodies can't be read until this process is back", { bodies: held() });
    },
  };
}
