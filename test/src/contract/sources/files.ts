import { appendFile, mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { limits } from "@millrace/envelope";
import type { FileSourceOptions } from "@millrace/sdk";
import { until } from "../../system/observe.js";
import type { BadItem } from "../cases.js";
import type { OpenSource, SourceToOpen, SourceUnderTest } from "./source-under-test.js";

const noNetwork = "a file below ingestion's roots has no network between it and its reader";

/** Lines that are appended to one file. */
export const lineFiles: SourceUnderTest = {
  name: "files of lines",
  reader: "ingestion",
  replays: true,
  leftOut: { "lost connection": noNetwork, TLS: noNetwork },
  badSettings: ({ system, stream }) => {
    const path = system.stateDir;
    const globs = "a{b|[a|a]|../x|/abs|a//b|(x)|x\\|./x|{a,{b}}".split("|");
    const paths = ["relative/dir", "./x", "/nul\u0000byte"];
    const add = (more: Partial<FileSourceOptions>) => () => stream.addFileSource({ path, ...more });
    return [
      ...[...globs, "x".repeat(257)].map((pattern) => ["source.file.pattern", add({ pattern })] as const),
      ...paths.map((bad) => ["source.file.path", add({ path: bad })] as const),
      ["source.file.poll_interval", add({ pollInterval: "1ms" })],
    ];
  },
  open: async (of) => {
    const dir = await makeDir(of, "lines");
    const append = (bytes: string | Buffer) => appendFile(join(dir, "input.jsonl"), bytes);
    const opened = await openFiles(of, { path: dir });
    return {
      ...opened,
      feed: (texts) => append(texts.map((text) => `${text}\n`).join("")),
      tooLarge: {
        what: "a line one byte too long",
        told: "dead letter",
        words: /line above the size limit/,
        give: () => append(`${"x".repeat(limits.messageBytesMax + 1)}\n`),
      },
      bad: [
        {
          what: "bytes that are no UTF-8",
          told: "passed",
          words: /^no \ufffd text$/,
          give: () => append(Buffer.from("no \xff text\n", "latin1")),
        },
        {
          what: "a folder of that name",
          told: "status",
          words: /is not a regular file.*Narrow the pattern/s,
          give: () => mkdir(join(dir, "folder.jsonl")),
        },
      ],
    };
  },
};

/** Compressed files, each of them one message once it is at rest. */
export const wholeFiles: SourceUnderTest = {
  name: "whole files, gz",
  reader: "ingestion",
  replays: true,
  leftOut: { "lost connection": noNetwork, TLS: noNetwork },
  badSettings: ({ system, stream }) => {
    const add = (more: Partial<FileSourceOptions>) => () =>
      stream.addFileSource({ path: system.stateDir, format: "whole", ...more });
    return [
      ["source.file.delimiter", add({ delimiter: ";" })],
      ["source.file.repeat", add({ repeat: 2 })],
    ];
  },
  open: async (of) => {
    const dir = await makeDir(of, "whole");
    let files = 0;
    const put = async (bytes: Buffer): Promise<void> => {
      const name = join(dir, `${String(files++).padStart(6, "0")}.txt.gz`);
      await writeFile(`${name}.part`, bytes);
      await rename(`${name}.part`, name);
    };
    const opened = await openFiles(of, { path: dir, format: "whole", pattern: "*.txt.gz" });
    const gzip = (content: string | Buffer): Promise<void> => put(gzipSync(content));
    const cut: BadItem = {
      what: "a file that ends in the middle",
      told: "status",
      words: /gz/,
      give: () => put(gzipSync("cut off here, ".repeat(100)).subarray(0, 40)),
    };
    return {
      ...opened,
      feed: async (texts) => {
        for (const text of texts) await gzip(text);
      },
      tooLarge: {
        what: "a file one byte too large once decoded",
        told: "dead letter",
        words: /a text file is above 768 KiB/,
        give: () => gzip("x".repeat(limits.messageBytesMax + 1)),
      },
      bad: [
        {
          what: "bytes that are no UTF-8",
          told: "passed",
          words: /^no \ufffd text$/,
          give: () => gzip(Buffer.from("no \xff text", "latin1")),
        },
        cut,
      ],
    };
  },
};

async function makeDir({ system, stream }: SourceToOpen, name: string): Promise<string> {
  const dir = join(system.stateDir, "input", `${stream.name}-${name}`);
  await mkdir(dir, { recursive: true });
  return dir;
}

async function openFiles(
  { stream }: SourceToOpen,
  options: FileSourceOptions,
): Promise<Pick<OpenSource, "waits" | "lastError" | "close">> {
  const source = await stream.addFileSource({ pollInterval: "50ms", ...options });
  await until(async () => (await source.status()).state === "running", "the folder is read");
  return {
    waits: async () => (await source.status()).state === "waiting",
    lastError: async () => (await source.status()).lastError ?? "",
    close: async () => undefined,
  };
}
