import { limits } from "@millrace/envelope";
import { createStreamProcessor, type OutgoingMessage, type StreamProcessor } from "@millrace/sdk";
import { type OpenSource, refusalOf, type SourceToOpen, type SourceUnderTest } from "./source-under-test.js";

/** PublishStream, by the SDK. */
export const pushSource: SourceUnderTest = {
  name: "gRPC push",
  reader: "gateway",
  replays: true,
  leftOut: { "lost connection": "a killed gateway ends the caller's connection, see resume after kill" },
  untrusted: /unavailable/,
  badSettings: ({ system, stream }) => {
    const create = (options: object) => () =>
      createStreamProcessor(`${stream.name}-bad`, system.client, options);
    return [
      ["bufferSize", create({ bufferSize: "1KiB" })],
      ["batchSize", create({ batchSize: 9_000 })],
      ["outputs.storage.format", create({ outputs: { storage: { format: "xml" } } })],
    ];
  },
  open: async (of) => (of.signedBy === "stranger" ? openUntrusted(of) : openPush(of.stream)),
};

function openPush(stream: StreamProcessor): OpenSource {
  const refused = (message: OutgoingMessage) => () => refusalOf(stream.publish(message));
  return {
    feed: async (texts) => {
      await stream.publish(texts.map((text) => ({ text })));
    },
    waits: async () => (await stream.status()).buffer?.waiting.includes("gateway") === true,
    lastError: async () => "",
    tooLarge: {
      what: "a text one byte too long",
      told: "caller",
      words: /invalid_argument.*768 KiB at most/s,
      give: refused({ text: "x".repeat(limits.messageBytesMax + 1) }),
    },
    bad: [
      {
        what: "a line feed where the stream stores lines",
        told: "caller",
        words: /invalid_argument.*line feed/s,
        give: refused({ text: "two\nlines" }),
      },
      {
        what: "an image that is none",
        told: "caller",
        words: /invalid_argument.*image/s,
        give: refused({ image: Buffer.from("no image") }),
      },
      {
        what: "a source id with a line feed",
        told: "caller",
        words: /invalid_argument.*source_?id/is,
        give: refused({ text: "x", sourceId: "two\nlines" }),
      },
    ],
    close: async () => undefined,
  };
}

/** A caller who trusts somebody else, knows gateway by another name, or speaks in the clear. */
async function openUntrusted({ system, stream }: SourceToOpen): Promise<OpenSource> {
  const { authority, stranger } = system;
  const clients = [
    system.connect({ tls: { caFile: stranger.caFile }, deadlineMs: 3_000 }),
    system.connect({ tls: { caFile: authority.caFile, serverName: "other.example" }, deadlineMs: 3_000 }),
    system.connect({ tls: false, deadlineMs: 3_000 }),
  ];
  return {
    ...openPush(stream),
    lastError: async () => {
      const errors = clients.map((client) => refusalOf(client.streams.get(stream.name)));
      const said = await Promise.all(errors);
      return said.every((one) => one !== "") ? said.join("\n") : "";
    },
    close: async () => {
      for (const client of clients) await client.close();
    },
  };
}
