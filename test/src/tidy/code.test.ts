import { keep, matches } from "./rule.js";
import { isCode, isData, isTest, isTypeScript, sourceFile } from "./source-tree.js";

keep({
  name: "exports have names",
  remedy: "Name the export; the file has the same name.",
  find: (files) =>
    files.filter(isCode).flatMap((file) => matches(file, /\bexport\s+default\b|\bas default\b/, "code")),
  caught: [[sourceFile("libs/a/src/x.ts", "export default function a() {}")]],
  passed: [[sourceFile("libs/a/src/x.ts", '// export default\nconst a = "export default";')]],
});

keep({
  name: "no type is any",
  remedy: "Say what it is, or unknown and look.",
  find: (files) =>
    files
      .filter(isTypeScript)
      .flatMap((file) => matches(file, /(?<![.\w$])any(?![\w$]|\s*[(:?]|\s*=[^>])/, "code")),
  caught: [
    [sourceFile("libs/a/src/x.ts", "const a = b as any;")],
    [sourceFile("libs/a/src/x.ts", "function a(b: any[]): void {}")],
    [sourceFile("libs/a/src/x.ts", "const a = new Map<string, any>();")],
  ],
  passed: [[sourceFile("libs/a/src/x.ts", 'const a = "any"; // any\nawait Promise.any([]);')]],
});

keep({
  name: "nothing is asserted to be there by an exclamation mark",
  remedy: "Use present(value, what), or handle its absence.",
  find: (files) =>
    files.filter(isTypeScript).flatMap((file) => matches(file, /[\w$)\]]!(?!=)[.,;)\]:[\s(]?/, "code")),
  caught: [
    [sourceFile("libs/a/src/x.ts", "const a = b!.c;")],
    [sourceFile("libs/a/src/x.ts", "const a = b[0]!;")],
    [sourceFile("libs/a/src/x.ts", "let a!: string;")],
  ],
  passed: [[sourceFile("libs/a/src/x.ts", "if (a !== b && !c(d)) return a != b;")]],
});

keep({
  name: "neither compiler nor linter is silenced",
  remedy: "Repair what it says, or settle the rule in the linter's settings.",
  find: (files) =>
    files
      .filter(isCode)
      .flatMap((file) =>
        matches(file, /@ts-(ignore|nocheck)|(oxlint|eslint)-disable|biome-ignore/, "comments"),
      ),
  caught: [[sourceFile("libs/a/src/x.ts", "// @ts-ignore\na();")]],
});

keep({
  name: "nothing is left to be done later",
  remedy: "Do it, or open an issue.",
  find: (files) =>
    files
      .filter((file) => !isData(file) && !file.path.endsWith(".txt"))
      .flatMap((file) => matches(file, /\b(TODO|FIXME|XXX|HACK)\b/, "comments")),
  caught: [[sourceFile("libs/a/src/x.ts", "a(); // TODO: later")], [sourceFile("docs/x.md", "FIXME")]],
});

const mayReadTheClock =
  /^(libs\/runtime\/src\/clock\.ts$|scripts\/|test\/)|\.(test|bench)\.(ts|mjs)$|\/bench\//;

keep({
  name: "clock and randomness are handed in",
  remedy: "Take `now: () => number` or `random`, or the runtime's clock.",
  find: (files) =>
    files
      .filter((file) => isCode(file) && !mayReadTheClock.test(file.path))
      .flatMap((file) => matches(file, /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b/, "code")),
  caught: [
    [sourceFile("services/a/src/x.ts", "const at = Date.now();")],
    [sourceFile("services/a/src/x.ts", "const at = new Date().toISOString();")],
    [sourceFile("services/a/src/x.ts", "const a = { random: Math.random };")],
  ],
  passed: [[sourceFile("services/a/src/x.test.ts", "Math.random();")]],
});

const doesNotRun = [
  /\b(test|it|describe|suite|t|context)\.(skip|only|todo)\b/,
  /\b(test|it)\(.*[{,]\s*(skip|only|todo)\s*:/,
];

keep({
  name: "every test runs",
  remedy: "Repair the test or remove it.",
  find: (files) =>
    files.filter(isTest).flatMap((file) => doesNotRun.flatMap((pattern) => matches(file, pattern, "code"))),
  caught: [
    [sourceFile("libs/a/src/x.test.ts", 'test.skip("a", () => {});')],
    [sourceFile("libs/a/src/x.test.ts", 'test("a", { todo: true }, () => {});')],
  ],
});

keep({
  name: "tests are named as facts, without should",
  remedy: "Say what is the case: `naks with a delay when the model is away`.",
  find: (files) =>
    files.filter(isTest).flatMap((file) => matches(file, /\b(?:test|it|describe)\(\s*["'`]should\b.*/)),
  caught: [[sourceFile("libs/a/src/x.test.ts", ["test(", '"should work", () => {});'].join(""))]],
});
