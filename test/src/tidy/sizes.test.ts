import { posix } from "node:path";
import { functionSizes } from "./function-sizes.js";
import { type Finding, keep } from "./rule.js";
import { isCode, isTest, isTypeScript, type SourceFile, sourceFile } from "./source-tree.js";

const fileLinesMax = 400;
const columnsMax = 110;
const ownLinesMax = 70;
/** A factory with its closures: the size of a small file. */
const factoryLinesMax = 220;
const mainLinesMax = 30;
const handlerLinesMax = 120;
const filesInFolderMax = 15;

const lineCount = (text: string): number => text.split("\n").length - (text.endsWith("\n") ? 1 : 0);

function longerThan(files: readonly SourceFile[], linesMax: number): Finding[] {
  return files
    .filter(({ text }) => lineCount(text) > linesMax)
    .map(({ path, text }) => ({ path, line: 0, what: `${lineCount(text)} lines` }));
}

const repeated = (line: string, times: number): string => `${line}\n`.repeat(times);

keep({
  name: `a file has at most ${fileLinesMax} lines`,
  remedy: "Split it by what its parts are about.",
  find: (files) => longerThan(files.filter(isCode), fileLinesMax),
  caught: [[sourceFile("libs/a/src/x.ts", repeated("a();", 401))]],
  passed: [[sourceFile("libs/a/src/x.ts", repeated("a();", 400))]],
});

keep({
  name: `main.ts has at most ${mainLinesMax} lines`,
  remedy: "Move what it does to service.ts.",
  find: (files) =>
    longerThan(
      files.filter(({ path }) => path.endsWith("/src/main.ts")),
      mainLinesMax,
    ),
  caught: [[sourceFile("services/a/src/main.ts", repeated("a();", 31))]],
});

keep({
  name: `a handler's file has at most ${handlerLinesMax} lines`,
  remedy: "Move the work to a domain folder; a handler maps a message to it.",
  find: (files) =>
    longerThan(
      files.filter(
        (file) => /^services\/[^/]+\/src\/handlers\//.test(file.path) && isTypeScript(file) && !isTest(file),
      ),
      handlerLinesMax,
    ),
  caught: [[sourceFile("services/a/src/handlers/x.ts", repeated("a();", 121))]],
});

keep({
  name: `a line has at most ${columnsMax} columns`,
  remedy: "Run biome format on the file; break strings and comments by hand.",
  find: (files) =>
    files.filter(isCode).flatMap(({ path, text }) =>
      text.split("\n").flatMap((line, index) => {
        const columns = [...line].length;
        return columns > columnsMax ? [{ path, line: index + 1, what: `${columns} columns` }] : [];
      }),
    ),
  caught: [[sourceFile("libs/a/src/x.ts", "x".repeat(111))]],
  passed: [[sourceFile("libs/a/src/x.ts", "é".repeat(110))]],
});

const longFunction = `export function a(): void {\n${repeated("  b();", 70)}}\n`;
const closure = `  const b = (): void => {\n${repeated("    c();", 60)}  };\n`;

keep({
  name:
    `a function has at most ${ownLinesMax} lines of its own, ` +
    `a factory with its closures ${factoryLinesMax}`,
  remedy:
    "Keep the branches here and move the leaves out; a factory's closures may become parts of their own.",
  find: (files) =>
    files
      .filter((file) => isCode(file) && !isTest(file))
      .flatMap(({ path, code }) =>
        functionSizes(code)
          .filter(({ ownLines, allLines }) => ownLines > ownLinesMax || allLines > factoryLinesMax)
          .map(({ line, ownLines, allLines }) => ({
            path,
            line,
            what: `${ownLines} own lines, ${allLines} in all`,
          })),
      ),
  caught: [
    [sourceFile("libs/a/src/x.ts", longFunction)],
    [sourceFile("libs/a/src/x.ts", `export function a(): void {\n${closure.repeat(4)}}\n`)],
    [
      sourceFile(
        "libs/a/src/x.ts",
        `export const a = async (\n  b: number,\n): Promise<void> => {\n${repeated("  c();", 70)}};\n`,
      ),
    ],
  ],
  passed: [[sourceFile("libs/a/src/x.ts", `export function a(): void {\n${closure}${closure}}\n`)]],
});

keep({
  name: `a folder has at most ${filesInFolderMax} source files besides tests`,
  remedy: "Give what belongs together a folder of its own.",
  find: (files) => {
    const counts = new Map<string, number>();
    for (const file of files.filter((one) => isCode(one) && !isTest(one))) {
      const folder = posix.dirname(file.path);
      counts.set(folder, (counts.get(folder) ?? 0) + 1);
    }
    return [...counts]
      .filter(([, count]) => count > filesInFolderMax)
      .map(([path, count]) => ({ path, line: 0, what: `${count} source files` }));
  },
  caught: [Array.from({ length: 16 }, (_, index) => sourceFile(`libs/a/src/x${index}.ts`, ""))],
});
