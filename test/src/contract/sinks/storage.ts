import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createStreamProcessor } from "@millrace/sdk";
import { parquetReadObjects } from "hyparquet";
import type { BadItem } from "../cases.js";
import type { ContractSystem } from "../contract-system.js";
import { type OpenSink, publishBad, type SinkToOpen, type SinkUnderTest } from "./sink-under-test.js";

type Format = "records" | "lines" | "parquet";

const rollBytes = 1024 * 1024;
/** A part ends behind the batch that fills it. */
const partBytesMax = 2 * rollBytes;

/** Files of a stream, whose folder can't be made while a file lies there. */
export const storageSink = (format: Format): SinkUnderTest => ({
  name: `stored ${format}`,
  writer: "output",
  once: true,
  leftOut: {
    TLS: "output writes to its own disk, with no network between",
    "lost connection": "output writes to its own disk, with no network between",
  },
  badSettings: ({ system, name }) => {
    const set = (storage: object) => () =>
      createStreamProcessor(`${name}-bad`, system.client, { outputs: { storage: { format, ...storage } } });
    return [
      ["outputs.storage.format", set({ format: "xml" })],
      ["stream.outputs.storage.roll_age", set({ rollAge: "1ms" })],
      ["stream.outputs.storage.roll_bytes", set({ rollBytes: 1 })],
    ];
  },
  outputs: async ({ system, name, isAway }) => {
    // What even root can't write into. A folder that is taken from under output is another matter.
    if (isAway === true) {
      await mkdir(dirname(dirOf(system, name)), { recursive: true });
      await writeFile(dirOf(system, name), "in the way");
    }
    return { storage: { format, rollAge: "300ms", rollBytes } };
  },
  open: async (of) => openStorage(format, of),
});

const dirOf = ({ outputDir }: Pick<ContractSystem, "outputDir">, stream: string): string =>
  join(outputDir, "default", stream);

function openStorage(format: Format, { system, stream }: SinkToOpen): OpenSink {
  const dir = dirOf(system, stream.name);
  const ids = new Map<string, readonly string[]>();
  const parts = async (): Promise<string[]> => {
    const names = await readdir(dir, { recursive: true }).catch((): string[] => []);
    return names.filter((name) => /part-[^/]*\.(jsonl|parquet)$/.test(name)).map((name) => join(dir, name));
  };
  return {
    arrived: async () => {
      for (const path of await parts()) {
        // A part that shows is complete.
        if (!ids.has(path)) ids.set(path, await idsIn(format, await readFile(path)));
      }
      return [...ids.values()].flat();
    },
    takeAway: async () => undefined,
    giveBack: () => rm(dir),
    holds: async () => isParked(await stream.status()),
    lastError: async () => "",
    bad: badItems(format, stream),
    limit: {
      what: "files end at rollBytes",
      check: async ({ give, untilArrived }) => {
        await give(64, 48 * 1024);
        await untilArrived();
        const all = await Promise.all((await parts()).map(async (path) => (await stat(path)).size));
        assert.ok(all.length > 1, `${all.length} parts`);
        assert.deepEqual(
          all.filter((bytes) => bytes > partBytesMax),
          [],
        );
      },
    },
    close: async () => undefined,
  };
}

function badItems(format: Format, stream: SinkToOpen["stream"]): BadItem[] {
  const lines = { text: "bad two\nlines", sourceId: "lines" };
  if (format === "lines") {
    const words = /invalid_argument.*line feed/s;
    return [{ what: "a line feed", told: "caller", words, give: publishBad(stream, lines) }];
  }
  const bytes = { data: Buffer.from([0xff, 0x00]), sourceId: "bytes" };
  return [
    { what: "a line feed", told: "passed", words: /^lines$/, give: publishBad(stream, lines) },
    { what: "no UTF-8", told: "passed", words: /^bytes$/, give: publishBad(stream, bytes) },
  ];
}

export const isParked = ({ stages }: { stages: readonly { stage: string; batches: number }[] }): boolean =>
  stages.some(({ stage, batches }) => stage === "parked" && batches > 0);

async function idsInRows(bytes: Buffer): Promise<string[]> {
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  return (await parquetReadObjects({ file, columns: ["source_id"] })).map((row) => String(row["source_id"]));
}

/** Of a line its first word, of a record its source id. */
function idsIn(format: Format, bytes: Buffer): Promise<string[]> | string[] {
  if (format === "parquet") return idsInRows(bytes);
  const lines = bytes.toString().split("\n").slice(0, -1);
  if (format === "lines") return lines.map((line) => line.split(" ")[0] ?? "");
  return lines.map((line) => (JSON.parse(line) as { source_id: string }).source_id);
}
