import type { StreamProcessor } from "@millrace/sdk";

/** The first texts that came out of a stream. */
export async function readTexts(stream: StreamProcessor, count: number): Promise<string[]> {
  const texts: string[] = [];
  for await (const message of stream.subscribe({ from: "earliest", signal: AbortSignal.timeout(60_000) })) {
    if (message.kind === "text") texts.push(message.text);
    if (texts.length === count) break;
  }
  return texts;
}
