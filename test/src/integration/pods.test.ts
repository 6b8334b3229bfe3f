import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text as textOf } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { prepareState } from "@millrace/cli/local";
import type { ServiceUser } from "@millrace/messaging";
import { createAuthority, type TestAuthority } from "@millrace/runtime/testing";
import { connect, createStreamProcessor, type MillraceClient, type StreamProcessor } from "@millrace/sdk";
import { freePort, type NatsServer, type ServiceProcess, startNats, startService } from "@millrace/testkit";
import { describeSystem } from "../system/describe-system.js";
import { storedLines, until } from "../system/observe.js";

/** Above 64 KiB, so that its body lies in a segment. */
const long = "the quick brown fox jumps over the lazy dog ".repeat(2_000);
const storage = { format: "lines", rollAge: "300ms" } as const;
const outputs = { results: true, artifacts: false, search: false, events: false, storage };
const plain = { enrichments: { embeddings: false, sentiment: false }, outputs };

/**
 * Two of each service, as pods: names from the environment, a volume of its own for whoever writes bodies,
 * addresses from a template. Nodes are addresses of the loopback network, for want of a name service.
 */
describe("services as several pods", () => {
  let stateDir: string;
  let nats: NatsServer;
  let clients: MillraceClient[];
  let authority: TestAuthority;
  const pods = new Map<string, ServiceProcess>();
  const nodes: Record<string, string> = {
    "buffer-0": "127.0.0.11",
    "buffer-1": "127.0.0.12",
    "privacy-0": "127.0.0.13",
    "privacy-1": "127.0.0.14",
    "inference-0": "127.0.0.15",
  };
  const pod = (name: string): ServiceProcess => pods.get(name) ?? assert.fail(name);

  before(async () => {
    stateDir = await mkdtemp(join(tmpdir(), "millrace-pods-"));
    authority = await createAuthority(stateDir);
    const { caFile } = authority;
    nats = await startNats();
    const { described } = await describeSystem(stateDir);
    const { url: natsUrl, monitorUrl: natsMonitorUrl, keysDir } = nats;
    const { serviceConfigs } = await prepareState({ ...described, natsUrl, natsMonitorUrl, keysDir });
    const [append, raw, clean] = [await freePort(), await freePort(), await freePort()];
    const start = async (service: ServiceUser, at: number, more: (node: string) => object): Promise<void> => {
      const name = `${service}-${at}`;
      const node = nodes[name] ?? "none";
      const config = JSON.parse(await readFile(serviceConfigs[service], "utf8")) as Record<string, object>;
      const own = config["segments"] as { rawDir?: string } | undefined;
      const volume = (side: string): string => join(stateDir, "volumes", name, side);
      const segments = own && {
        ...(own.rawDir === undefined ? {} : { rawDir: volume("raw") }),
        cleanDir: volume("clean"),
      };
      const given = { ...config, ...(segments && { segments }), http: { port: 0 }, ...more(node) };
      // Of the identity only the environment tells; `node` of a service without one is not heeded.
      const env = { MILLRACE_INSTANCE: `millrace-${name}`, MILLRACE_NODE: node };
      pods.set(name, await startService({ name: service, dir: join(stateDir, name), config: given, env }));
    };
    const readClean = { peerAddress: `{node}:${clean}` };
    for (const at of [0, 1]) {
      await start("buffer", at, (host) => ({
        grpc: { host, port: append },
        rawRead: { host, port: raw },
        cleanRead: { host, port: clean },
      }));
      await start("privacy", at, (host) => ({
        peerAddress: `{node}:${raw}`,
        cleanRead: { host, port: clean },
      }));
    }
    await start("inference", 0, (host) => ({ ...readClean, cleanRead: { host, port: clean } }));
    const addresses = ["buffer-0", "buffer-1"].map((name) => `${nodes[name]}:${append}`).join(",");
    const ports = [await freePort(), await freePort()];
    for (const at of [0, 1]) {
      await start("output", at, () => ({ ...readClean, egress: { allowPrivate: ["localhost"], caFile } }));
      await start("gateway", at, () => ({
        grpc: { host: "127.0.0.1", port: ports[at] },
        buffer: { address: `ipv4:${addresses}` },
      }));
    }
    clients = ports.map((port) => connect({ address: `127.0.0.1:${port}` }));
  });
  after(async () => {
    for (const client of clients ?? []) await client.close();
    for (const service of [...pods.values()].toReversed()) await service.stop();
    await nats.stop();
    await rm(stateDir, { recursive: true, force: true });
  });

  const clientAt = (at: number): MillraceClient => clients[at] ?? assert.fail("no such gateway");
  const outputDir = (): string => join(stateDir, "data", "output");
  const stored = async (stream: string): Promise<number[]> => {
    const lines = await storedLines({ outputDir: outputDir() }, stream);
    return lines.map((line) => Number(/^([0-9]+) /.exec(line)?.[1] ?? "-1")).sort((a, b) => a - b);
  };
  const publish = async (processor: StreamProcessor, from: number, count: number): Promise<void> => {
    for (let n = from; n < from + count; n++)
      await processor.publish([{ text: `${n} ${long}`, sourceId: "s" }]);
  };
  const untilBalanced = async (processor: StreamProcessor, count: number): Promise<void> => {
    let told = "";
    const isDone = async (): Promise<boolean> => {
      const { conservation } = await processor.status();
      told = JSON.stringify(conservation);
      return conservation.out === count && conservation.inFlight === 0;
    };
    await until(isDone, `${count} are through`, { timeoutMs: 60_000 }).catch((caught: unknown) => {
      throw new Error(`${String(caught)}: ${told}`);
    });
  };

  it("each of two privacy pods stops when its bodies are read, and not before", async () => {
    await using processor = await createStreamProcessor("drained", clientAt(0), plain);
    // Nobody reads what privacy writes.
    for (const name of ["output-0", "output-1"]) await pod(name).stop();
    await publish(processor, 0, 12);
    const broker = await nats.connect("buffer");
    const isClean = async (): Promise<boolean> => {
      const { state } = await broker.manager.streams.info("ENRICHED");
      return state.messages === 12;
    };
    await until(isClean, "privacy is through").finally(() => broker.connection.close());
    const ends = ["privacy-0", "privacy-1"].map(async (name) => [name, await pod(name).stop()]);
    const isOver = Promise.all(ends).then(() => true);
    const early = await Promise.race([isOver, new Promise((done) => setTimeout(() => done(false), 1_500))]);
    assert.equal(early, false, "bodies that nobody has read are served");
    for (const name of ["output-0", "output-1"]) await pod(name).start();
    assert.deepEqual(await Promise.all(ends), [
      ["privacy-0", 0],
      ["privacy-1", 0],
    ]);
    for (const name of ["privacy-0", "privacy-1"]) await pod(name).start();
    await untilBalanced(processor, 12);
    await until(async () => (await stored("drained")).length >= 12, "all is stored");
    assert.deepEqual(
      await stored("drained"),
      Array.from({ length: 12 }, (_, n) => n),
    );
  });

  it("a tap shows bodies that lie on another node", async () => {
    await using processor = await createStreamProcessor("tapped", clientAt(0), plain);
    const stop = new AbortController();
    let shown = "";
    for await (const tapped of clientAt(1).tap("tapped", { stage: "privacy", signal: stop.signal })) {
      assert.equal(tapped.unseen, 0);
      const [message] = tapped.messages;
      if (message === undefined) await publish(processor, 7, 1);
      else shown = message.kind === "text" ? message.text : "";
      if (shown !== "") stop.abort();
    }
    assert.equal(shown, `7 ${long}`);
  });

  it("outputs share a trigger's events: each comes under one id, also when one is killed", async (t) => {
    const { certFile, keyFile } = await authority.issue("hook", { dns: ["localhost"] });
    const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
    /** What came, by the messages that it tells of. */
    const ids = new Map<string, string[]>();
    const target = createServer({ cert, key }, async (request, reply) => {
      const { data } = JSON.parse(await textOf(request)) as { data: { messages: { messageId: string }[] } };
      for (const { messageId } of data.messages) {
        ids.set(messageId, [...(ids.get(messageId) ?? []), String(request.headers["webhook-id"])]);
      }
      // Long enough that there is always something in hand.
      setTimeout(() => reply.end(), 20);
    });
    await new Promise<void>((resolve) => target.listen(0, "localhost", resolve));
    t.after(() => {
      target.closeAllConnections();
      target.close();
    });
    const url = `https://localhost:${(target.address() as AddressInfo).port}/`;
    const telling = { ...plain, outputs: { ...outputs, storage: false, events: true } };
    await using processor = await createStreamProcessor("told", clientAt(0), telling);
    const { triggers } = clientAt(1);
    await triggers.create({ id: "hook", stream: "told", on: ["new_data"], webhook: { url } });
    let sent = 0;
    const send = async (count: number): Promise<void> => {
      for (const to = sent + count; sent < to; sent++) await processor.publish({ text: `${sent}` });
    };
    const done = /^millrace_trigger_tries_total\{[^}]*outcome="done"[^}]*\} [1-9]/m;
    const hasPart = async (name: string): Promise<boolean> =>
      done.test(await (await fetch(`${pod(name).httpUrl}/metrics`)).text());
    const haveBoth = async (): Promise<boolean> => {
      await send(4);
      return (await hasPart("output-0")) && (await hasPart("output-1"));
    };
    await until(haveBoth, "both have had their part");
    await until(() => ids.size === sent, "all are told");
    const isSettled = async () => (await triggers.get({ id: "hook", stream: "told" })).waiting === 0;
    await until(isSettled, "all are settled");
    const killed = send(40);
    await pod("output-0").kill("SIGKILL");
    await killed;
    await until(() => ids.size === sent, "all are told over the kill");
    await until(isSettled, "all are settled over the kill");
    for (const [message, under] of ids) assert.equal(new Set(under).size, 1, message);
    assert.equal(new Set([...ids.values()].flat()).size, new Set(ids.keys()).size, "an id an event");
    await triggers.delete({ id: "hook", stream: "told" });
    await pod("output-0").start();
  });

  it("any one may end or be killed: nothing is lost, nothing stored twice", async () => {
    await using first = await createStreamProcessor("moved", clientAt(0), plain);
    const second = await createStreamProcessor("moved", clientAt(1), plain);
    let next = 0;
    const both = async (count: number): Promise<void> => {
      const from = next;
      next += 2 * count;
      await Promise.all([publish(first, from, count), publish(second, from + count, count)]);
    };
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      for (const name of ["buffer-0", "buffer-1", "privacy-0", "output-0", "output-1"]) {
        const under = both(10);
        await pod(name).kill(signal);
        // The other one has the work meanwhile.
        await both(3);
        await under;
        await pod(name).start();
      }
    }
    await untilBalanced(first, next);
    await until(async () => (await stored("moved")).length >= next, "all is stored");
    assert.deepEqual(
      await stored("moved"),
      Array.from({ length: next }, (_, n) => n),
    );
    const { conservation } = await second.status();
    assert.deepEqual([conservation.in, conservation.out, conservation.balanced], [next, next, true]);
  });

  it("two gateways share a group, and one that is killed leaves its work to the other", async () => {
    const quiet = { ...plain, outputs: { ...outputs, storage: false }, onError: () => undefined };
    await using first = await createStreamProcessor("grouped", clientAt(0), quiet);
    await using second = await createStreamProcessor("grouped", clientAt(1), { onError: () => undefined });
    const seen: string[][] = [[], []];
    let held = Promise.resolve();
    const handlers = [
      first.onTextMessage(async ({ content }) => {
        seen[0]?.push(content);
        await held;
      }),
      second.onTextMessage(({ content }) => void seen[1]?.push(content)),
    ];
    await Promise.all(handlers.map(({ ready }) => ready));
    let sent = 0;
    const send = async (count: number): Promise<void> => {
      await second.publish(Array.from({ length: count }, (_, at) => `${sent + at}`));
      sent += count;
    };
    const isShared = async (): Promise<boolean> => {
      if (seen.every((texts) => texts.length > 0)) return true;
      await send(20);
      return false;
    };
    await until(isShared, "both gateways' members are given some");
    const groups = () => clientAt(1).streams.groups("grouped");
    await until(async () => (await groups())[0]?.waitingBatches === 0, "all is settled");
    assert.deepEqual(seen.flat().sort(), Array.from({ length: sent }, (_, at) => `${at}`).sort());
    await until(async () => (await groups())[0]?.members === 2, "both are counted");

    // What the first one has in hand when its gateway dies comes to the other, once.
    const before = { first: seen[0]?.length ?? 0, second: seen[1]?.length ?? 0, sent };
    let letGo = (): void => undefined;
    held = new Promise((resolve) => {
      letGo = resolve;
    });
    const isHeld = async (): Promise<boolean> => {
      if ((seen[0]?.length ?? 0) > before.first) return true;
      await send(20);
      return false;
    };
    await until(isHeld, "the first one has some in hand");
    await pod("gateway-0").kill("SIGKILL");
    await send(20);
    const later = (): string[] => seen[1]?.slice(before.second) ?? [];
    await until(() => later().length >= sent - before.sent, "the other one has all", { timeoutMs: 60_000 });
    assert.deepEqual(
      later().sort(),
      Array.from({ length: sent - before.sent }, (_, at) => `${before.sent + at}`).sort(),
    );
    await until(async () => (await groups())[0]?.waitingBatches === 0, "all is settled");
    letGo();
    await pod("gateway-0").start();
  });
});
