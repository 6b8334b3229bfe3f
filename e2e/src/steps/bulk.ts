import { createStreamProcessor } from "@millrace/sdk";
import { openGateway } from "../cluster/gateway.js";
import { fullName, type Profile } from "../cluster/release.js";
import { until } from "../load/until.js";
import type { Context, Step } from "./step.js";

const fileMegabytes = 64;
const lineBytes = 1024;

/**
 * How fast ranges of more than 64 KiB go from ingestion through buffer and privacy into files: mapped on one
 * node, or streamed by gRPC.
 */
export const bulkStep = (profile: Profile): Step => ({
  name: `bulk-${profile}`,
  profile,
  async run(context) {
    const { bulk, checks } = context;
    await checks.check(`bulk bodies pass in profile ${profile}`, async () => {
      const rate = await measure(context);
      bulk.set(profile, rate);
      return `${rate.toFixed(1)} MB/s`;
    });
    const [small, production] = [bulk.get("small"), bulk.get("production")];
    if (small === undefined || production === undefined) return;
    checks.say(
      `mapped (small) to streamed (production): ${small.toFixed(1)} to ${production.toFixed(1)} MB/s, ` +
        `ratio ${(small / production).toFixed(2)}`,
    );
  },
});

async function measure({ settings, kubectl }: Context): Promise<number> {
  const path = (await kubectl.node(`${fullName}-ingestion-0`, writeFile)).trim();
  const repeat = Math.max(1, Math.round(settings.bulkMegabytes / fileMegabytes));
  await using gateway = await openGateway(settings, kubectl);
  await using processor = await createStreamProcessor("e2e-bulk", gateway.client, {
    processingMode: "batch",
    enrichments: { embeddings: false, sentiment: false },
    outputs: {
      results: false,
      artifacts: false,
      search: false,
      events: false,
      storage: { format: "lines", rollBytes: "64MB", retainBytes: "256MB" },
    },
  });
  const messages = repeat * ((fileMegabytes * 1024 * 1024) / lineBytes);
  const began = performance.now();
  const source = await processor.addFileSource({ path, pattern: "*.jsonl", repeat });
  await until(
    `${messages} messages in the store`,
    async () => {
      const { conservation } = await processor.status();
      if (conservation.dead + conservation.dropped > 0) {
        throw new Error(`not all arrive: ${JSON.stringify(conservation)}`);
      }
      return conservation.out >= messages ? true : undefined;
    },
    { timeoutMs: 600_000, pollMs: 250 },
  );
  const seconds = (performance.now() - began) / 1000;
  await source.remove();
  return (messages * lineBytes) / 1_000_000 / seconds;
}

/** Runs in ingestion's pod, and tells the folder that it filled. */
const writeFile = `
  import { mkdirSync, writeFileSync } from "node:fs";
  import { tmpdir } from "node:os";
  import { join } from "node:path";
  const folder = join(tmpdir(), "e2e-bulk");
  mkdirSync(folder, { recursive: true });
  const line = JSON.stringify({ text: "the wheel turns " });
  const whole = line.slice(0, -2) + "x".repeat(${lineBytes} - line.length - 1) + line.slice(-2) + "\\n";
  writeFileSync(join(folder, "load.jsonl"), whole.repeat(${(fileMegabytes * 1024 * 1024) / lineBytes}));
  console.log(folder);
`;
