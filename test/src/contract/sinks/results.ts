import assert from "node:assert/strict";
import { createStreamProcessor, type Gap, PermanentError, type StreamProcessor } from "@millrace/sdk";
import { until } from "../../system/observe.js";
import { lettersOf } from "../cases.js";
import { publishBad, type SinkToOpen, type SinkUnderTest } from "./sink-under-test.js";
import { isParked } from "./storage.js";

const sameListener =
  "callers reach gateway as publishers do, by TLS and a token in each case here: see gRPC push";
const leftOut = {
  TLS: sameListener,
  "lost connection": "a killed gateway ends each caller's connection, see resume after kill",
} as const;
/** The least that a stream may keep. */
const results = { bytes: "1MiB" } as const;
const many = { count: 24, bytes: 100_000 } as const;

const badResults: SinkUnderTest["badSettings"] = ({ system, name }) => {
  const set = (given: object) => () =>
    createStreamProcessor(`${name}-bad`, system.client, { outputs: { results: given } });
  return [["stream.outputs.results.bytes", set({ bytes: 1 })]];
};

/** A door that whoever reads waits at. */
function gate() {
  let open = (): void => undefined;
  let shut: Promise<void> | undefined;
  let waiting = 0;
  return {
    pass: async (): Promise<void> => {
      if (shut === undefined) return;
      waiting += 1;
      await shut;
      waiting -= 1;
    },
    shut: async (): Promise<void> => {
      shut = new Promise((resolve) => (open = resolve));
    },
    open: async (): Promise<void> => {
      shut = undefined;
      open();
    },
    isWaitedAt: () => waiting > 0,
  };
}

export const subscribeSink: SinkUnderTest = {
  name: "Subscribe",
  writer: "gateway",
  once: true,
  leftOut,
  badSettings: (of) => [
    ...badResults(of),
    ["resume_token", () => of.stream.subscribe({ resumeToken: "garbage" }).next()],
    ["from", () => Promise.resolve().then(() => of.stream.subscribe({ from: "later" as "now" }))],
  ],
  outputs: async () => ({ results: true }),
  open: async ({ system, stream }) => {
    const door = gate();
    const { ids, stop } = read(stream, { door });
    return {
      arrived: async () => ids,
      takeAway: door.shut,
      giveBack: door.open,
      holds: async () => door.isWaitedAt(),
      lastError: async () => "",
      bad: [
        {
          what: "no UTF-8",
          told: "passed",
          words: /^bytes$/,
          give: publishBad(stream, { data: Buffer.from([0xff, 0x00]), sourceId: "bytes" }),
        },
      ],
      limit: {
        what: "who resumes later than the results budget lasts is told of a gap",
        check: () => checkGap({ system, name: stream.name }),
      },
      close: stop,
    };
  },
};

interface ReadOptions {
  door?: ReturnType<typeof gate>;
  resumeToken?: string;
  onGap?: (gap: Gap) => void;
}

function read(stream: StreamProcessor, { door = gate(), ...options }: ReadOptions = {}) {
  const ids: string[] = [];
  const tokens: string[] = [];
  const ended = new AbortController();
  const { signal } = ended;
  const reading = (async () => {
    for await (const message of stream.subscribe({ from: "earliest", signal, ...options })) {
      ids.push(message.sourceId);
      tokens.push(message.resumeToken);
      await door.pass();
    }
  })();
  const stop = async (): Promise<void> => {
    await door.open();
    ended.abort();
    await reading;
  };
  return { ids, tokens, stop };
}

/** A stream of its own, of which more came out than it keeps. */
async function checkGap({ system, name }: Pick<SinkToOpen, "system" | "name">): Promise<void> {
  const stream = `${name}-small`;
  await using small = await createStreamProcessor(stream, system.client, {
    enrichments: { embeddings: false, sentiment: false },
    outputs: { results, artifacts: false, search: false, events: false },
  });
  const gaps: Gap[] = [];
  const first = read(small);
  await small.publish(
    Array.from({ length: 4 }, (_, at) => ({ text: "x".repeat(many.bytes), sourceId: `m${at}` })),
  );
  await until(() => first.ids.length === 4, "the first ones");
  await first.stop();
  for (let at = 4; at < many.count; at++) {
    await small.publish({ text: "x".repeat(many.bytes), sourceId: `m${at}` });
  }
  await until(async () => (await small.status()).conservation.inFlight === 0, "all is out");
  const [resumeToken = ""] = first.tokens;
  const late = read(small, { resumeToken, onGap: (gap) => void gaps.push(gap) });
  await until(() => late.ids.includes(`m${many.count - 1}`), "the last one");
  await late.stop();
  assert.ok(late.ids.length < many.count, `${late.ids.length} are kept`);
  assert.deepEqual(new Set(gaps.map(({ reason }) => reason)), new Set(["discarded"]));
}

export const groupSink: SinkUnderTest = {
  name: "Consume group",
  writer: "gateway",
  once: false,
  leftOut,
  badSettings: (of) => {
    const open = (group: object) => () => createStreamProcessor(of.name, of.system.client, { group });
    return [
      ...badResults(of),
      ["group.maxAttempts", open({ maxAttempts: 0 })],
      ["group.from", open({ from: "later" })],
    ];
  },
  outputs: async () => ({ results }),
  open: async ({ system, stream }) => {
    const door = gate();
    const ids: string[] = [];
    const tries = new Map<string, number>();
    const handler = stream.onTextMessage(async ({ content, sourceId }) => {
      await door.pass();
      if (content === "bad") throw new PermanentError("it is not what the handler wants");
      if (content === "worse") {
        tries.set(sourceId, (tries.get(sourceId) ?? 0) + 1);
        throw new TypeError("not told, since it may quote the message");
      }
      ids.push(sourceId);
    });
    await handler.ready;
    return {
      arrived: async () => ids,
      takeAway: door.shut,
      giveBack: door.open,
      holds: async () => isParked(await stream.status()),
      lastError: async () => "",
      bad: [
        {
          what: "a message that its handler refuses for good",
          told: "dead letter",
          words: /it is not what the handler wants$/,
          give: publishBad(stream, { text: "bad", sourceId: "bad" }),
        },
      ],
      limit: {
        what: "a message whose handler fails maxAttempts times is given up",
        check: async ({ give }) => {
          await give(1);
          await publishBad(stream, { text: "worse", sourceId: "worse" })();
          await give(1);
          const letters = () => lettersOf(system.client, stream.name);
          await until(async () => (await letters()).length === 1, "it is given up");
          assert.match((await letters())[0] ?? "", /the handler threw TypeError/);
          assert.equal(tries.get("worse"), 2);
        },
      },
      close: async () => {
        await door.open();
        await handler.stop();
      },
    };
  },
};
