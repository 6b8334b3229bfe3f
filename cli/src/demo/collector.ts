import type { ReceivedMessage, StreamProcessor } from "@millrace/sdk";

export interface Collected {
  /** The corpus' id of the message. */
  corpusId: string;
  stream: string;
  message: ReceivedMessage;
  text: string;
  /** From buffer's acceptance to the arrival here. */
  latencyMs: number;
}

/** What has come out of the streams, by the corpus' ids. */
export interface Collector {
  byId: ReadonlyMap<string, Collected>;
  /** Corpus id of a message by Millrace's own id, for hits of a search. */
  corpusIdOf(messageId: string): string | undefined;
  /** Messages that came more than once. */
  repeated(): number;
  follow(processor: StreamProcessor, signal: AbortSignal): Promise<void>;
}

export function createCollector(now: () => number): Collector {
  const byId = new Map<string, Collected>();
  const corpusIds = new Map<string, string>();
  let repeated = 0;
  return {
    byId,
    corpusIdOf: (messageId) => corpusIds.get(messageId),
    repeated: () => repeated,
    follow: async (processor, signal) => {
      for await (const message of processor.subscribe({ from: "earliest", signal })) {
        const latencyMs = now() - message.acceptedTime.getTime();
        if (message.kind !== "text") continue;
        const content = contentOf(message.text, message.attributes);
        // Somebody else's message, published while the system was serving.
        if (content === undefined) continue;
        const { corpusId, text } = content;
        if (byId.has(corpusId)) repeated++;
        byId.set(corpusId, { corpusId, stream: processor.name, message, text, latencyMs });
        corpusIds.set(message.id, corpusId);
      }
    },
  };
}

/** Lines of files are JSON objects; published texts carry their id as an attribute. */
function contentOf(
  text: string,
  attributes: Readonly<Record<string, string>>,
): { corpusId: string; text: string } | undefined {
  const id = attributes["corpus_id"];
  if (id !== undefined) return { corpusId: id, text };
  try {
    const line = JSON.parse(text) as Partial<Record<string, unknown>> | null;
    const { id: corpusId, text: inner } = line ?? {};
    return typeof corpusId === "string" && typeof inner === "string" ? { corpusId, text: inner } : undefined;
  } catch {
    return undefined;
  }
}
