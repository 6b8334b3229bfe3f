import assert from "node:assert/strict";
import { createStreamProcessor, type StreamProcessor } from "@millrace/sdk";
import { until } from "../../system/observe.js";
import { type BadItem, lettersOf } from "../cases.js";
import type { ContractSystem } from "../contract-system.js";
import type { OpenSink, SinkToOpen, SinkUnderTest } from "./sink-under-test.js";

/** A stream with one sink, all that was published to it, and what came of it. */
export interface SinkRun extends AsyncDisposable {
  readonly stream: StreamProcessor;
  readonly sink: OpenSink;
  give(count: number, bytes?: number): Promise<void>;
  giveBad(bad: BadItem): Promise<void>;
  /** It is said of the sink. */
  untilSaid(words: RegExp): Promise<void>;
  /** All that was given is there. */
  untilArrived(): Promise<void>;
  /** Nothing is there that was not given; and nothing twice, where that is promised. */
  assertArrived(): Promise<void>;
  assertTold(items: readonly BadItem[]): Promise<void>;
}

export async function runSink(
  system: ContractSystem,
  kind: SinkUnderTest,
  what: string,
  more: Pick<SinkToOpen, "signedBy" | "isAway"> = {},
): Promise<SinkRun> {
  const name = `${what}-${kind.name.toLowerCase().replaceAll(/[^a-z]+/g, "-")}`;
  const of = { system, name, ...more };
  const none = { results: false, artifacts: false, search: false, events: false } as const;
  const stream = await createStreamProcessor(name, system.client, {
    enrichments: { embeddings: false, sentiment: false },
    outputs: { ...none, ...(await kind.outputs(of)) },
    group: { from: "earliest", maxAttempts: 2 },
    // What handlers throw here is told by dead letters.
    onError: () => undefined,
  });
  return new RunningSink(kind, system, stream, await kind.open({ ...of, stream }));
}

class RunningSink implements SinkRun {
  readonly #kind: SinkUnderTest;
  readonly #system: ContractSystem;
  readonly stream: StreamProcessor;
  readonly sink: OpenSink;
  readonly #given: string[] = [];
  /** Of what was no message of ours, and passes. */
  readonly #passed: RegExp[] = [];

  constructor(kind: SinkUnderTest, system: ContractSystem, stream: StreamProcessor, sink: OpenSink) {
    this.#kind = kind;
    this.#system = system;
    this.stream = stream;
    this.sink = sink;
  }

  async give(count: number, bytes = 0): Promise<void> {
    const ids = Array.from({ length: count }, (_, at) => `m${this.#given.length + at}`);
    this.#given.push(...ids);
    await this.stream.publish(ids.map((id) => ({ text: `${id} `.padEnd(bytes, "x"), sourceId: id })));
  }

  async giveBad({ what, told, words, give }: BadItem): Promise<void> {
    const said = await give();
    if (told === "passed") this.#passed.push(words);
    if (told === "caller") assert.match(String(said), words, what);
    if (told === "status") await this.untilSaid(words);
  }

  async untilSaid(words: RegExp): Promise<void> {
    let said = "";
    await until(async () => words.test((said = await this.sink.lastError())), `${words}`).catch((cause) => {
      throw new Error(`${words} is not said, but ${JSON.stringify(said)}`, { cause });
    });
  }

  async untilArrived(): Promise<void> {
    let absent: string[] = [];
    const isThere = async (): Promise<boolean> => {
      const arrived = await this.sink.arrived();
      const there = new Set(arrived);
      absent = this.#given.filter((id) => !there.has(id));
      return absent.length === 0 && this.#passed.every((words) => arrived.some((id) => words.test(id)));
    };
    await until(isThere, `what ${this.stream.name} was given`, { timeoutMs: 90_000 }).catch((cause) => {
      throw new Error(`not there: ${absent.slice(0, 3).join(", ")} of ${absent.length}`, { cause });
    });
  }

  async assertArrived(): Promise<void> {
    await until(async () => {
      const { conservation } = await this.stream.status();
      return conservation.balanced && conservation.inFlight === 0;
    }, `nothing of ${this.stream.name} is in flight`);
    const arrived = await this.sink.arrived();
    const given = new Set(this.#given);
    const foreign = arrived.filter((id) => !given.has(id) && !this.#passed.some((words) => words.test(id)));
    assert.deepEqual(foreign, []);
    if (this.#kind.once) assert.equal(arrived.length, new Set(arrived).size, "nothing is there twice");
  }

  async assertTold(items: readonly BadItem[]): Promise<void> {
    const dead = items.filter(({ told }) => told === "dead letter");
    const letters = () => lettersOf(this.#system.client, this.stream.name);
    await until(async () => (await letters()).length >= dead.length, `${dead.length} dead letters`);
    await this.assertArrived();
    const reasons = await letters();
    assert.equal(reasons.length, dead.length, reasons.join());
    for (const { what, words } of dead) {
      assert.ok(
        reasons.some((reason) => words.test(reason)),
        `${what}: ${reasons.join()}`,
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sink.close();
    await this.stream.close();
    await this.#system.client.streams.delete(this.stream.name);
  }
}
