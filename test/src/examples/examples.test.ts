import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import {
  events,
  inParallel,
  mappedFiles,
  type Places,
  streamIngestion,
  textsAndImages,
} from "@millrace/examples";
import { catPhoto } from "@millrace/images/testing";
import { defaultProducerDriver, kafkaDrivers } from "@millrace/kafka";
import { type KafkaServer, startKafka } from "@millrace/kafka/testing";
import { type WebSocket, WebSocketServer } from "ws";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { runToEnd } from "../system/run-program.js";
import { until } from "../system/observe.js";

describe("the examples", () => {
  let system: TestSystem;
  let kafka: KafkaServer;
  let feed: Feed;
  let places: Places;
  before(async () => {
    [system, kafka, feed] = await Promise.all([
      startTestSystem({ allowPrivate: ["127.0.0.1"] }),
      startKafka(),
      startFeed(),
    ]);
    await kafka.createTopic("data-stream");
    const directory = join(system.inputDir, "streaming");
    await mkdir(directory);
    places = {
      client: system.client,
      kafka: { bootstrap: kafka.bootstrap, send: sender(kafka.bootstrap) },
      feed,
      directory,
      photo: await catPhoto(),
    };
  });
  after(async () => {
    await system.stop();
    await feed.close();
    await kafka.stop();
  });

  it("takes in what three kinds of source give", () => streamIngestion(places));
  it("keeps texts and images in artifacts, and tells what they are", () => textsAndImages(places));
  it("reacts to what happens", () => events(places));
  it("reads a large file through its mapping", () => mappedFiles(places));
  it("works on batches and searches in parallel", () => inParallel(places));
  it("run by themselves: quickstart and large-file", async () => {
    const { grpc } = system.described.ports;
    const address = `127.0.0.1:${grpc}`;
    const run = async (name: string, ...args: string[]): Promise<string> => {
      const script = fileURLToPath(new URL(`../../../examples/dist/${name}.js`, import.meta.url));
      const { code, stdout, stderr } = await runToEnd({
        args: [script, ...args, address],
        timeoutMs: 90_000,
      });
      assert.equal(code, 0, stderr);
      return stdout;
    };
    assert.match(await run("quickstart"), /found: We waited two hours for a cold pizza/);
    const large = join(places.directory, "large");
    assert.match(await run("large-file", large), /large\.bin: 100663296 bytes, CRC-32 [0-9a-f]+/);
  });
  it("leave no stream out of balance", async () => {
    for await (const { name } of system.client.streams.list()) {
      await until(async () => (await system.client.streams.status(name)).conservation.inFlight === 0, name);
      assert.equal((await system.client.streams.status(name)).conservation.balanced, true, name);
    }
  });
});

function sender(bootstrap: string): Places["kafka"]["send"] {
  return async (kafkaTopic, value) => {
    const connection = { bootstrapServers: [bootstrap], clientId: "tour" };
    const producer = kafkaDrivers[defaultProducerDriver].createProducer({ connection });
    await producer.start();
    await producer.send(kafkaTopic, [{ value: Buffer.from(value) }]);
    await producer.close();
  };
}

type Feed = Places["feed"] & { close(): Promise<void> };

/** A WebSocket server on the loopback interface. */
async function startFeed(): Promise<Feed> {
  const server = createServer();
  const sockets = new WebSocketServer({ server });
  let authorization: string | undefined;
  sockets.on("connection", (_socket, request) => (authorization = request.headers.authorization));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/feed`,
    get authorization() {
      return authorization;
    },
    send: async (text) => {
      await until(() => sockets.clients.size > 0, "a connection to the feed");
      for (const socket of sockets.clients as Set<WebSocket>) socket.send(text);
    },
    close: async () => {
      for (const socket of sockets.clients as Set<WebSocket>) socket.terminate();
      sockets.close();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
