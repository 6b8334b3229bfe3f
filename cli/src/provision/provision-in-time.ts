import { CodedError } from "@millrace/errors";
import { adminUser, connectBroker, provision } from "@millrace/messaging";
import { type Clock, type Logger, silentLogger } from "@millrace/runtime";
import type { ProvisionConfig } from "./config.js";

/** A cluster answers before it has chosen who leads, and makes no copies until there are servers for them. */
const againMs = 1_000;

/** Tries until all is made. Errors: `deadline_exceeded` with what was wrong at the last try. */
export async function provisionInTime(
  config: ProvisionConfig,
  { log, clock }: { log: Logger; clock: Pick<Clock, "monotonic" | "sleep"> },
): Promise<void> {
  const deadline = clock.monotonic() + config.waitMs;
  let told = "";
  for (;;) {
    try {
      return await provisionOnce(config);
    } catch (caught) {
      const failed = CodedError.from(caught, "provision");
      // A file of ours: no waiting brings it.
      if (failed.code === "not_found") throw failed;
      const { message, field, remedy } = failed;
      if (message !== told) log.info("the broker is not ready, trying again", { error: message });
      told = message;
      if (clock.monotonic() + againMs < deadline) {
        await clock.sleep(againMs);
        continue;
      }
      throw new CodedError("deadline_exceeded", `provision within ${config.waitMs} ms: ${message}`, {
        field: field ?? "waitMs",
        remedy: remedy ?? "See to the broker, give it more time, or ask for fewer replicas.",
        cause: caught,
      });
    }
  }
}

async function provisionOnce({ storeBytes, replicas, ...config }: ProvisionConfig): Promise<void> {
  const broker = await connectBroker({
    ...config.nats,
    tls: config.tls,
    user: adminUser,
    waits: false,
    // Each try that fails is told.
    log: silentLogger,
    onClosed: () => undefined,
  });
  try {
    await provision(broker, { storeBytes, replicas });
  } finally {
    await broker.stop?.(new AbortController().signal);
  }
}
