import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { createLineMaker } from "./line-maker.js";
import { addLine, addSum, emptySum, type LineSum } from "./line-sum.js";

export interface InputFile {
  path: string;
  bytes: number;
  /** Of the lines as they must come out. */
  expected: LineSum;
  /** Of the lines as they are, which is how an exempt stream passes them on. */
  raw: LineSum;
}

export interface Input {
  dir: string;
  /** All of one size. */
  files: InputFile[];
  bytes: number;
  lines: number;
  expected: LineSum;
  raw: LineSum;
}

export interface InputOptions {
  dir: string;
  lineBytes: number;
  bytes: number;
  /** Read side by side. */
  files: number;
  personal: number;
  seed: number;
  signal: AbortSignal;
}

/** Writes the input and syncs it, so that its writing back is over before anything is measured. */
export async function makeInput(options: InputOptions): Promise<Input> {
  const linesPerFile = Math.ceil(options.bytes / options.lineBytes / options.files);
  await mkdir(options.dir, { recursive: true });
  const files: InputFile[] = [];
  for (let number = 0; number < options.files; number++) {
    files.push(await makeFile(options, number, linesPerFile));
  }
  const expected = emptySum();
  const raw = emptySum();
  for (const file of files) {
    addSum(expected, file.expected);
    addSum(raw, file.raw);
  }
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return { dir: options.dir, files, bytes, lines: expected.lines, expected, raw };
}

const blockBytes = 4 * 1024 * 1024;

async function makeFile(options: InputOptions, number: number, lines: number): Promise<InputFile> {
  const { dir, lineBytes, personal, seed, signal } = options;
  const maker = createLineMaker({
    lineBytes,
    personal,
    seed: seed * 1009 + number,
    firstSequence: number * lines,
  });
  const path = join(dir, `events-${number}.jsonl`);
  const expected = emptySum();
  const raw = emptySum();
  const block = Buffer.allocUnsafe(Math.floor(blockBytes / lineBytes) * lineBytes);
  const file = await open(path, "wx");
  let filled = 0;
  try {
    for (let made = 0; made < lines; made++) {
      addLine(expected, maker.write(block, filled));
      addLine(raw, block.subarray(filled, filled + lineBytes - 1));
      filled += lineBytes;
      if (filled < block.length && made < lines - 1) continue;
      signal.throwIfAborted();
      await file.write(block, 0, filled);
      filled = 0;
    }
    await file.datasync();
  } finally {
    await file.close();
  }
  return { path, bytes: lines * lineBytes, expected, raw };
}
