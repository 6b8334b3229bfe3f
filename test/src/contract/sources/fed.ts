import assert from "node:assert/strict";
import { systemClock } from "@millrace/runtime";
import { createStreamProcessor, type StreamEvent, type StreamProcessor } from "@millrace/sdk";
import { storedLines, until } from "../../system/observe.js";
import { type BadItem, lettersOf } from "../cases.js";
import type { ContractSystem } from "../contract-system.js";
import type { OpenSource, SourceToOpen, SourceUnderTest } from "./source-under-test.js";

/** A stream with one source, all that it was fed, and what came of it. */
export interface Fed extends AsyncDisposable {
  readonly stream: StreamProcessor;
  readonly source: OpenSource;
  readonly gaps: readonly StreamEvent<"source_gap">["payload"][];
  readonly failures: readonly string[];
  /** So many more messages, of so many bytes; resolves when the outside has them. */
  give(count: number, bytes?: number): Promise<void>;
  giveBad(bad: BadItem): Promise<void>;
  /** The source says that of what is wrong with it. */
  untilSaid(words: RegExp, what: string): Promise<void>;
  untilInOrWaiting(): Promise<void>;
  /** All that was given is stored, but for what lies in a gap that was told. */
  untilStored(): Promise<void>;
  /** Nothing is stored twice that was not sent twice, nothing is in flight, and the sum is right. */
  assertStoredOnce(): Promise<void>;
  /** Each was told where it should be, and nothing else was. */
  assertTold(items: readonly BadItem[]): Promise<void>;
  stored(): Promise<string[]>;
  count(): number;
  /** Sent, and in a gap. */
  missing(): number;
}

export interface FedOptions extends Pick<SourceToOpen, "signedBy"> {
  bufferSize?: number;
}

export async function feedOf(
  system: ContractSystem,
  kind: SourceUnderTest,
  what: string,
  { bufferSize, signedBy }: FedOptions = {},
): Promise<Fed> {
  const name = `${what}-${kind.name.toLowerCase().replaceAll(/[^a-z]+/g, "-")}`;
  const stream = await createStreamProcessor(name, system.client, {
    enrichments: { embeddings: false, sentiment: false },
    outputs: {
      results: false,
      artifacts: false,
      search: false,
      events: false,
      storage: { format: "lines", rollAge: "300ms" },
    },
    ...(bufferSize !== undefined && { bufferSize }),
  });
  const gaps: StreamEvent<"source_gap">["payload"][] = [];
  const failures: string[] = [];
  await stream.onEvent("source_gap", ({ payload }) => void gaps.push(payload)).ready;
  await stream.onEvent("source_failed", ({ payload }) => void failures.push(payload.source)).ready;
  const source = await kind.open({ system, stream, ...(signedBy !== undefined && { signedBy }) });
  return new FedStream({ system, stream, source, gaps, failures });
}

/** JSON, for sources that are asked to go on behind an id. */
function messageOf(id: number, bytes: number): string {
  const [start, end] = [`{"id":${id},"text":"`, '"}'];
  return start + "x".repeat(Math.max(0, bytes - start.length - end.length)) + end;
}

type Parts = Pick<Fed, "stream" | "source" | "gaps" | "failures"> & { system: ContractSystem };

class FedStream implements Fed {
  readonly stream;
  readonly source;
  readonly gaps;
  readonly failures;
  readonly #system: ContractSystem;
  /** When each was sent. */
  readonly #sent = new Map<string, number>();
  /** Words that are stored of what was no message of ours. */
  readonly #passed: RegExp[] = [];
  #missing = 0;

  constructor({ system, stream, source, gaps, failures }: Parts) {
    this.stream = stream;
    this.source = source;
    this.gaps = gaps;
    this.failures = failures;
    this.#system = system;
  }

  async give(count: number, bytes = 0): Promise<void> {
    const first = this.#sent.size;
    const texts = Array.from({ length: count }, (_, at) => messageOf(first + at, bytes));
    for (const text of texts) this.#sent.set(text, systemClock.now());
    await this.source.feed(texts);
  }

  async giveBad({ what, told, words, give }: BadItem): Promise<void> {
    const said = await give();
    if (told === "passed") this.#passed.push(words);
    if (told === "caller") assert.match(String(said), words);
    if (told === "status") await this.untilSaid(words, what);
  }

  async untilSaid(words: RegExp, what: string): Promise<void> {
    let said = "";
    await until(async () => words.test((said = await this.source.lastError())), what).catch((cause) => {
      throw new Error(`${words} is not said, but ${JSON.stringify(said)}`, { cause });
    });
  }

  stored(): Promise<string[]> {
    return storedLines(this.#system, this.stream.name);
  }

  async untilInOrWaiting(): Promise<void> {
    const isIn = async () => (await this.stream.status()).conservation.in >= this.#sent.size;
    await until(async () => (await this.source.waits()) || (await isIn()), "it is taken, or waits");
  }

  async untilStored(): Promise<void> {
    const late: string[] = [];
    const isStored = async (): Promise<boolean> => {
      const lines = await this.stored();
      const there = new Set(lines);
      const absent = [...this.#sent].filter(([text]) => !there.has(text));
      const inGap = absent.filter(([, sentMs]) =>
        this.gaps.some(({ from, to }) => from.getTime() <= sentMs && sentMs <= to.getTime()),
      );
      this.#missing = inGap.length;
      late.splice(0, Infinity, ...absent.slice(0, 3).map(([text]) => text.slice(0, 20)));
      const passed = this.#passed.every((words) => lines.some((line) => words.test(line)));
      return absent.length === inGap.length && passed;
    };
    await until(isStored, `what ${this.stream.name} was given`, { timeoutMs: 90_000 }).catch((cause) => {
      throw new Error(`not stored: ${late.join(", ")} …`, { cause });
    });
  }

  async assertStoredOnce(): Promise<void> {
    await this.#untilSettled();
    const lines = await this.stored();
    const known = (line: string) => this.#sent.has(line) || this.#passed.some((words) => words.test(line));
    assert.deepEqual(
      lines.filter((line) => !known(line)).map((line) => line.slice(0, 40)),
      [],
    );
    assert.equal(lines.length, new Set(lines).size, "nothing is stored twice");
  }

  async assertTold(items: readonly BadItem[]): Promise<void> {
    const dead = items.filter(({ told }) => told === "dead letter");
    await until(async () => (await this.#letters()).length >= dead.length, `${dead.length} dead letters`);
    await this.assertStoredOnce();
    const reasons = (await this.#letters()).sort();
    assert.equal(reasons.length, dead.length, reasons.join());
    for (const { what, words } of dead) {
      assert.ok(
        reasons.some((reason) => words.test(reason)),
        `${what}: ${reasons.join()}`,
      );
    }
    assert.equal((await this.stream.status()).conservation.dead, dead.length);
  }

  count(): number {
    return this.#sent.size;
  }

  missing(): number {
    return this.#missing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.source.close();
    await this.stream.close();
    await this.#system.client.streams.delete(this.stream.name);
  }

  #letters(): Promise<string[]> {
    return lettersOf(this.#system.client, this.stream.name);
  }

  async #untilSettled(): Promise<void> {
    const isSettled = async (): Promise<boolean> => {
      const { conservation } = await this.stream.status();
      return conservation.balanced && conservation.inFlight === 0;
    };
    await until(isSettled, `nothing of ${this.stream.name} is in flight`);
  }
}
