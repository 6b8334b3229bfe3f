import {
  anonymizeEndpoint,
  ask,
  type Broker,
  cleanEndpoint,
  embedEndpoint,
  eraseEndpoint,
  eraseStored,
  type Publisher,
  readLastStored,
  readPage,
  readSince,
  replaceVectorEndpoint,
  serveRequests,
  type StreamRegistry,
  untilSettled,
} from "@millrace/messaging";
import type { ReplaceVectorRequest, ReplaceVectorResponse } from "@millrace/proto/work";
import type { Component, Runtime } from "@millrace/runtime";
import { type CommitParts, finish } from "./anonymize/commit-content.js";
import { type AnonymizeParts, anonymizeContents } from "./handlers/anonymize-contents.js";
import { type EraseParts, eraseContents, type MessagePlace } from "./handlers/erase-contents.js";
import type { ResultBudget } from "./results/result-budget.js";

/** Privacy, inference and the index answer at once, but for what the index waits for. */
const answerMs = 10_000;

export interface KeptContents {
  broker: Broker;
  runtime: Runtime;
  registry: StreamRegistry;
  publisher: Publisher;
  budget: ResultBudget;
}

/** What is asked of contents that are stored: to erase them, and to clean them again. */
export function contentRequests(parts: KeptContents): Component[] {
  const { broker, runtime } = parts;
  return [
    finishRewrites(parts),
    serveRequests(broker, runtime, eraseEndpoint, eraseContents(erasing(parts))),
    serveRequests(broker, runtime, anonymizeEndpoint, anonymizeContents(anonymizing(parts))),
  ];
}

/** `anonymizeContents`'s parts, also for what asks for it within output. */
export function anonymizing({ broker, runtime, registry, publisher, budget }: KeptContents): AnonymizeParts {
  const { clock, version } = runtime;
  return {
    registry,
    untilSettled: settling(broker, runtime),
    clean: (asked) =>
      // No stream is named: every detector looks, whatever the stream's policy says.
      ask(broker, cleanEndpoint, { tenant: "", stream: "", texts: [], ...asked }, answerMs),
    embed: (request) => ask(broker, embedEndpoint, request, answerMs),
    replaceVector: async (request) => (await askIndex(broker, request)).replaced,
    contents: contentStore(broker, publisher),
    results: {
      since: (filter, fromMs) => readSince(broker, { jetStream: "RESULT", filter, fromMs }),
      publish: publisher.publish,
      erase: (seq) => eraseStored(broker, "RESULT", seq),
    },
    budget,
    version,
    now: clock.now,
    monotonic: clock.monotonic,
    sleep: clock.sleep,
  };
}

function erasing({ broker, runtime, publisher }: KeptContents): EraseParts {
  return {
    ...contentStore(broker, publisher),
    untilSettled: settling(broker, runtime),
    readPage: (filter, limits) => readPage(broker, { jetStream: "CONTENT", filter, after: 0, ...limits }),
    replaceVector: async (request) => void (await askIndex(broker, request)),
  };
}

function contentStore(broker: Broker, { publish }: Publisher): CommitParts {
  return {
    readLast: (subject) => readLastStored(broker, "CONTENT", subject),
    erase: (seq) => eraseStored(broker, "CONTENT", seq),
    publish,
  };
}

const settling =
  (broker: Broker, { clock }: Runtime) =>
  (of: MessagePlace & { waitMs: number }): Promise<void> =>
    untilSettled(broker, clock, { ...of, stage: "results" });

function askIndex(broker: Broker, request: ReplaceVectorRequest): Promise<ReplaceVectorResponse> {
  return ask(broker, replaceVectorEndpoint, request, request.waitMs + answerMs);
}

const pageLimits = { countMax: 100, bytesMax: 16 * 1024 * 1024 };

/** What a process that died had begun to rewrite is finished before anything else. */
function finishRewrites({ broker, publisher }: KeptContents): Component {
  return {
    name: "rewrites",
    start: async () => {
      const contents = contentStore(broker, publisher);
      for (let more = true, after = 0; more; ) {
        const of = { jetStream: "CONTENT", filter: "rewrite.>", after, ...pageLimits };
        const page = await readPage(broker, of);
        for (const rewrite of page.messages) await finish(contents, rewrite);
        after = page.messages.at(-1)?.seq ?? after;
        more = page.more;
      }
    },
    stop: async () => undefined,
  };
}
