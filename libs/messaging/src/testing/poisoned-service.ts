import { decodeBatch, idText, type OpenBatch, openBatch } from "@millrace/envelope";
import { textsOf } from "@millrace/envelope/testing";
import { Stream } from "@millrace/proto/stream";
import { createLogger, startWatchdog } from "@millrace/runtime";
import { testRuntime } from "@millrace/runtime/testing";
import { connectBroker } from "../broker/broker.js";
import { seedFile } from "../broker/server-config.js";
import { consumeOrdered } from "../delivery/consume/consume-ordered.js";
import { consumeBatches } from "../delivery/consumer.js";
import { createDeadLetterWriter } from "../delivery/dead-letters.js";
import { createPublisher } from "../delivery/publisher.js";
import { createTrial } from "../delivery/trial/trial.js";
import { swallow } from "./poison.js";

// For tests: a stage in a process of its own whose handler can be poisoned. It copies batches from RAW to
// CLEAN under an id that names the process. Arguments: address of the broker, directory of its keys, and
// `ordered` for a reader of the ordered partitions.

const [url = "", keysDir = "", kind = ""] = process.argv.slice(2);
const log = createLogger("poisoned", String(process.pid), "info");
const kill = (): void => void process.kill(process.pid, "SIGKILL");
const runtime = testRuntime({ log, kill, handlingMsMax: 5_000 });
const budgetMs = 3_000;

startWatchdog(budgetMs);
process.on("SIGTERM", () => void consumer.stop?.(new AbortController().signal).then(() => process.exit(0)));
const broker = await connectBroker({
  url,
  user: "privacy",
  seedFile: seedFile(keysDir, "privacy"),
  log,
  onClosed: runtime.fail,
});
const publisher = createPublisher(broker);
const options = {
  broker,
  runtime,
  publisher,
  deadLetters: createDeadLetterWriter({ publisher, stage: "privacy", side: "raw", now: runtime.clock.now }),
  open: async (data: Uint8Array) => {
    const batch = decodeBatch(data);
    return openBatch(batch, batch.body?.$case === "inline" ? batch.body.value : new Uint8Array());
  },
  handle: async (open: OpenBatch) => {
    const texts = textsOf(open);
    log.info("begun", { text: texts[0] });
    if (texts.includes("slow")) await runtime.clock.sleep(3_000);
    await swallow(open);
    const id = `${idText(open.header.id)}-${process.pid}`;
    return { publish: [{ subject: "clean.batch.any.default.s", data: open.body, id }] };
  },
  trial: createTrial({
    runtime,
    module: new URL("./poison.js", import.meta.url),
    config: {},
    streamOf: async () => Stream.create(),
    budgetMs,
  }),
};
const consumer =
  kind === "ordered"
    ? consumeOrdered({ ...options, stage: "privacy" })
    : consumeBatches({ ...options, consumer: "privacy-batch", inFlightMax: 8 });
await consumer.start?.();
log.info("ready");
