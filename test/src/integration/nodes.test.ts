import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { prepareState } from "@millrace/cli/local";
import type { ServiceUser } from "@millrace/messaging";
import { SegmentRange } from "@millrace/proto/batch";
import { createRangeClient, silentLogger, systemClock } from "@millrace/runtime";
import { connect, createStreamProcessor, type MillraceClient } from "@millrace/sdk";
import { freePort, type NatsServer, type ServiceProcess, startNats, startService } from "@millrace/testkit";
import { describeSystem } from "../system/describe-system.js";
import { storedLines, until } from "../system/observe.js";

/** Above 64 KiB, so that its body lies in a segment. */
const long = "the quick brown fox jumps over the lazy dog ".repeat(4_000);

/** Each node has directories of its own: what a stage reads of the other one came over the network. */
describe("stages on two nodes", () => {
  let stateDir: string;
  let nats: NatsServer;
  let client: MillraceClient;
  let ports: Record<"oneRaw" | "oneClean" | "twoClean", number>;
  const services: ServiceProcess[] = [];
  before(async () => {
    stateDir = await mkdtemp(join(tmpdir(), "millrace-nodes-"));
    nats = await startNats();
    const { described } = await describeSystem(stateDir);
    const { url: natsUrl, monitorUrl: natsMonitorUrl, keysDir } = nats;
    const { serviceConfigs } = await prepareState({ ...described, natsUrl, natsMonitorUrl, keysDir });
    ports = { oneRaw: await freePort(), oneClean: await freePort(), twoClean: await freePort() };
    const at = (port: number) => ({ host: "127.0.0.1", port });
    const start = async (name: ServiceUser, node: "one" | "two", more: object): Promise<void> => {
      const config = JSON.parse(await readFile(serviceConfigs[name], "utf8")) as Record<string, unknown>;
      const dirOf = (side: string): string => join(stateDir, node, side);
      const segments = {
        ...("rawDir" in (config["segments"] as object) ? { rawDir: dirOf("raw") } : {}),
        cleanDir: dirOf("clean"),
      };
      const dir = join(stateDir, node);
      services.push(await startService({ name, dir, config: { ...config, node, segments, ...more } }));
    };
    const peersOfOne = { two: `127.0.0.1:${ports.twoClean}` };
    await start("buffer", "one", { rawRead: at(ports.oneRaw), cleanRead: at(ports.oneClean) });
    const second = { instance: "1", http: at(0), grpc: at(await freePort()) };
    await start("buffer", "two", { ...second, cleanRead: at(ports.twoClean) });
    await start("privacy", "two", { peers: { one: `127.0.0.1:${ports.oneRaw}` } });
    await start("inference", "one", { peers: peersOfOne });
    await start("semantic-search", "two", { peers: { one: `127.0.0.1:${ports.oneClean}` } });
    await start("output", "one", { peers: peersOfOne });
    const gateway = JSON.parse(await readFile(serviceConfigs.gateway, "utf8")) as Record<string, unknown>;
    services.push(await startService({ name: "gateway", dir: join(stateDir, "one"), config: gateway }));
    client = connect({ address: `127.0.0.1:${described.ports.grpc}` });
  });
  after(async () => {
    await client?.close();
    for (const service of services.toReversed()) await service.stop();
    await nats.stop();
    await rm(stateDir, { recursive: true, force: true });
  });

  const storage = { format: "lines", rollAge: "200ms" } as const;

  it("privacy reads raw bodies, and output clean ones, of the other node", async () => {
    await using processor = await createStreamProcessor("plain", client, {
      enrichments: { embeddings: false, sentiment: false },
      outputs: { results: true, artifacts: false, search: false, events: false, storage },
    });
    await processor.publish([{ text: `${long}ann@example.org`, sourceId: "s" }]);
    const outputDir = join(stateDir, "data", "output");
    await until(async () => (await storedLines({ outputDir }, "plain")).length === 1, "the line is stored");
    assert.deepEqual(await storedLines({ outputDir }, "plain"), [`${long}[EMAIL]`]);
    const { conservation, dataPath } = await processor.status();
    assert.deepEqual([conservation.in, conservation.out, conservation.balanced], [1, 1, true]);
    const body = long.length + "ann@example.org".length;
    assert.match(dataPath, new RegExp(`privacy so far: [^;]*\\b${body}\\b`), "by reads, not by a map");
  });

  it("inference and semantic-search do so too", async () => {
    await using processor = await createStreamProcessor("judged", client, {
      outputs: { results: true, artifacts: true, search: true, events: false },
    });
    await processor.publish([{ text: `This is wonderful. ${long}`, sourceId: "s" }]);
    await until(async () => (await processor.status()).conservation.out === 1, "it is out of all sinks");
    const found = async (): Promise<boolean> => (await processor.search("wonderful")).hits.length === 1;
    await until(found, "it is found by its meaning");
    for await (const message of processor.subscribe({ from: "earliest" })) {
      assert.equal(message.content, `This is wonderful. ${long}`);
      assert.notEqual(message.sentiment, undefined);
      break;
    }
  });

  it("neither listener of a node hands out anything of the other side", async () => {
    const ask = async (port: number, log: string): Promise<string> => {
      const ranges = createRangeClient({
        peers: { one: `127.0.0.1:${port}` },
        runtime: { clock: systemClock, log: silentLogger },
      });
      const range = SegmentRange.create({ node: "one", log, segment: 1, offset: 4096, length: 64 });
      const code = await ranges.fetch(range).then(
        () => "ok",
        (error: { code: string }) => error.code,
      );
      await ranges.stop?.(new AbortController().signal);
      return code;
    };
    assert.equal(await ask(ports.oneClean, "raw/buffer-0"), "permission_denied");
    assert.equal(await ask(ports.oneRaw, "clean/inference-0"), "permission_denied");
    assert.notEqual(await ask(ports.oneRaw, "raw/buffer-0"), "permission_denied");
    assert.notEqual(await ask(ports.oneClean, "clean/inference-0"), "permission_denied");
  });
});
