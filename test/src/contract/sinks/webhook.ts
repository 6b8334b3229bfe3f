import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer as createPlain, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTls } from "node:https";
import type { AddressInfo } from "node:net";
import { text as textOf } from "node:stream/consumers";
import type { TriggerSettings } from "@millrace/sdk";
import { until } from "../../system/observe.js";
import { credentials } from "../contract-system.js";
import { type OpenSink, publishBad, type SinkToOpen, type SinkUnderTest } from "./sink-under-test.js";

const id = "hook";

export const webhookSink: SinkUnderTest = {
  name: "webhook",
  writer: "output",
  once: true,
  givesUp: true,
  leftOut: { "lost connection": "each event is a connection of its own" },
  untrusted: /no answer: [A-Z_]*(CERT|SIGNATURE)/,
  badSettings: ({ system, stream }) => {
    const set = (more: Partial<TriggerSettings>) => () =>
      system.client.triggers.create({
        id: "bad",
        stream: stream.name,
        on: ["new_data"],
        webhook: { url: "https://hook.example/" },
        ...more,
      });
    return [
      ["trigger.id", set({ id: "No Id" })],
      ["trigger.webhook.url", set({ webhook: { url: "ftp://hook.example/" } })],
      ["trigger.webhook.url", set({ webhook: { url: "https://me:secret@hook.example/" } })],
    ];
  },
  outputs: async () => ({ events: true }),
  open: openWebhook,
};

async function openWebhook({ system, stream, signedBy }: SinkToOpen): Promise<OpenSink> {
  const { triggers } = system.client;
  const target = await startTarget(signedBy === undefined ? undefined : await system[signedBy].issue("hook"));
  const webhook = { url: target.url, headers: { "x-key": credentials.hookKey } };
  await triggers.create({ id, stream: stream.name, on: ["new_data"], webhook });
  const status = () => triggers.get({ id, stream: stream.name });
  return {
    arrived: async () => [...target.taken.values()].flat(),
    takeAway: async () => {
      target.mode = "away";
    },
    giveBack: async () => {
      target.mode = "well";
    },
    holds: async () => {
      const { waiting, lastError } = await status();
      return waiting > 0 && lastError === "the target answered 503";
    },
    lastError: async () => (await status()).lastError,
    bad: [
      {
        what: "an event that the target refuses each time",
        told: "dead letter",
        words: /^the target answered 422$/,
        give: publishBad(stream, { text: "bad", sourceId: "refuse-422" }),
      },
    ],
    limit: {
      what: "of a reply without end 64 KiB are read",
      check: async ({ give }) => {
        target.mode = "endless";
        await give(1);
        await until(() => target.taken.size === 1, "it is taken");
        await until(async () => (await status()).waiting === 0, "it is done");
        assert.ok(target.endlessBytes() < 32 * 1024 * 1024, `${target.endlessBytes()} bytes were taken`);
        target.mode = "well";
      },
    },
    close: async () => {
      await triggers.delete({ id, stream: stream.name });
      await target.close();
    },
  };
}

/** Takes events under their webhook-id: once logically, however often they come. */
async function startTarget(tls: { certFile: string; keyFile: string } | undefined) {
  const state = {
    mode: "well" as "well" | "away" | "endless",
    taken: new Map<string, string[]>(),
  };
  let endlessBytes = 0;
  const answer = async (request: IncomingMessage, reply: ServerResponse): Promise<void> => {
    const { data } = JSON.parse(await textOf(request)) as { data: { messages: { sourceId: string }[] } };
    const sources = data.messages.map(({ sourceId }) => sourceId);
    if (request.headers["x-key"] !== credentials.hookKey) return void reply.writeHead(401).end();
    if (state.mode === "away") return void reply.writeHead(503).end();
    const refusal = /^refuse-(\d+)$/.exec(sources[0] ?? "")?.[1];
    if (refusal !== undefined) {
      reply.writeHead(Number(refusal), { location: "http://169.254.169.254/" }).end();
      return;
    }
    state.taken.set(String(request.headers["webhook-id"]), sources);
    reply.writeHead(200);
    if (state.mode === "well") return void reply.end();
    const more = (): void => {
      while (!reply.destroyed && reply.write(Buffer.alloc(64 * 1024))) endlessBytes += 64 * 1024;
    };
    reply.on("drain", more).on("error", () => undefined);
    more();
  };
  const handle = (request: IncomingMessage, reply: ServerResponse): void => void answer(request, reply);
  const server =
    tls === undefined
      ? createPlain(handle)
      : createTls({ cert: await readFile(tls.certFile), key: await readFile(tls.keyFile) }, handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(state, {
    url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}/`,
    endlessBytes: () => endlessBytes,
    close: async (): Promise<void> => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}
