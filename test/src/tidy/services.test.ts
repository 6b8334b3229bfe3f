import { type Finding, keep, lineAt } from "./rule.js";
import { isTest, type SourceFile, sourceFile } from "./source-tree.js";

const readmeLines = { min: 10, max: 40 };

function serviceNames(files: readonly SourceFile[]): string[] {
  return [...new Set(files.flatMap(({ path }) => /^services\/([^/]+)\//.exec(path)?.[1] ?? []))];
}

keep({
  name: "every service has main.ts, config.ts, service.ts, handlers and a README",
  remedy: "Add what is missing: all services have one anatomy, so that one who knows one of them knows all.",
  find: (files) =>
    serviceNames(files).flatMap((name) => {
      const has = (pattern: RegExp): boolean =>
        files.some((file) => pattern.test(file.path) && !isTest(file));
      const parts: Record<string, RegExp> = {
        "src/main.ts": new RegExp(`^services/${name}/src/main\\.ts$`),
        "src/config.ts": new RegExp(`^services/${name}/src/config\\.ts$`),
        "src/service.ts": new RegExp(`^services/${name}/src/service\\.ts$`),
        "src/handlers/": new RegExp(`^services/${name}/src/handlers/.+\\.ts$`),
        "README.md": new RegExp(`^services/${name}/README\\.md$`),
      };
      return Object.entries(parts)
        .filter(([, pattern]) => !has(pattern))
        .map(([part]) => ({ path: `services/${name}`, line: 0, what: `has no ${part}` }));
    }),
  caught: [[sourceFile("services/a/src/main.ts", "")]],
});

keep({
  name: `a service's README has ${readmeLines.min} to ${readmeLines.max} lines`,
  remedy: "Purpose, subjects in and out, what happens on each failure, where the config is.",
  find: (files) =>
    files
      .filter(({ path }) => /^services\/[^/]+\/README\.md$/.test(path))
      .flatMap(({ path, text }) => {
        const lines = text.trimEnd().split("\n").length;
        const fits = lines >= readmeLines.min && lines <= readmeLines.max;
        return fits ? [] : [{ path, line: 0, what: `${lines} lines` }];
      }),
  caught: [[sourceFile("services/a/README.md", "# a\n")]],
});

const withUnit = /(Ms|Seconds|Minutes|Hours|Days|Bytes|Chars|Percent|Max|Min|PerSecond)$/;

/** `name: z.int()…` and `name: z.number()…`, with the calls that follow. */
function findNumbers({ path, code, text }: SourceFile): Finding[] {
  return [...code.matchAll(/(\w+):\s*z\s*\.(?:coerce\s*\.)?(?:int|number|bigint)\(/g)].flatMap((match) => {
    const name = match[1] ?? "";
    const calls = chainAt(code, match.index + match[0].length);
    const isBound = /\.(min|max|positive|gt|lt|gte|lte)\(/.test(calls);
    return isBound || withUnit.test(name) ? [] : [{ path, line: lineAt(text, match.index), what: name }];
  });
}

/** Up to the comma that ends the field. */
function chainAt(code: string, from: number): string {
  let depth = 1;
  for (let at = from; at < code.length; at++) {
    const char = code.charAt(at);
    if ("([{".includes(char)) depth++;
    if (")]}".includes(char)) depth--;
    if (depth < 0 || (depth === 0 && (char === "," || char === ";"))) return code.slice(from, at);
  }
  return code.slice(from);
}

keep({
  name: "every number in a config has a unit in its name or a bound",
  remedy: "Name the unit last (drainTimeoutMs, segmentBytes), and give it min and max.",
  find: (files) =>
    files.filter(({ path }) => /^services\/[^/]+\/src\/config\.ts$/.test(path)).flatMap(findNumbers),
  caught: [
    [sourceFile("services/a/src/config.ts", "z.strictObject({ timeout: z.number().default(5) })")],
    [
      sourceFile(
        "services/a/src/config.ts",
        "z.strictObject({ size: z\n  .int()\n  .default(5), b: z.int().min(1) })",
      ),
    ],
  ],
  passed: [
    [
      sourceFile(
        "services/a/src/config.ts",
        "z.strictObject({ waitMs: z.int(), workers: z.int().min(1).max(9) })",
      ),
    ],
  ],
});

/** Fields without a comment above them; what only groups others says enough by its name. */
function findUncommented({ path, text }: SourceFile): Finding[] {
  return [...text.matchAll(/^ +(\w+): (?:z|port)\b/gm)].flatMap((match) => {
    const value = text.slice(match.index + match[0].length);
    const isGroup = /^\s*\.strictObject\(\{\s/.test(value);
    const isSaid = /\*\/\s*$/.test(text.slice(0, match.index));
    return isGroup || isSaid ? [] : [{ path, line: lineAt(text, match.index), what: match[1] ?? "" }];
  });
}

keep({
  name: "every field of a config says what it is",
  remedy: "Put a comment above it: READMEs refer to the config for its settings.",
  find: (files) =>
    files
      .filter(({ path }) => /^(services\/[^/]+|libs\/runtime)\/src\/config\.ts$/.test(path))
      .flatMap(findUncommented),
  caught: [
    [sourceFile("services/a/src/config.ts", "z.strictObject({\n  waitMs: z.int(),\n})")],
    [sourceFile("services/a/src/config.ts", "  a: z\n    .strictObject({\n      b: z.int(),\n    })")],
  ],
  passed: [
    [
      sourceFile(
        "services/a/src/config.ts",
        "  a: z\n    .strictObject({\n      /** What b is. */\n      b: z.int(),\n    })",
      ),
    ],
  ],
});

keep({
  name: "config refuses keys that it does not know",
  remedy: "Use z.strictObject.",
  find: (files) =>
    files
      .filter(({ path }) => /^services\/[^/]+\/src\/config\.ts$/.test(path))
      .flatMap(({ path, code, text }) =>
        [...code.matchAll(/\bz\s*\.(object|looseObject|passthrough)\b/g)].map((match) => ({
          path,
          line: lineAt(text, match.index),
          what: match[0],
        })),
      ),
  caught: [[sourceFile("services/a/src/config.ts", "export const config = z.object({});")]],
});

keep({
  name: "each test lies beside the file that it tests",
  remedy: "Name it for that file, or for the folder that it tests as a whole; else it belongs to test/.",
  find: (files) => {
    const paths = new Set(files.map(({ path }) => path));
    return files
      .filter((file) => isTest(file) && /^(libs|services|cli|examples)\//.test(file.path))
      .filter(({ path }) => !paths.has(path.replace(/(\.[a-z]+)?\.test\.ts$/, ".ts")))
      .filter(({ path }) => !/\/([a-z0-9-]+)\/\1\.test\.ts$/.test(path))
      .map(({ path }) => ({ path, line: 0, what: "has no file of its name beside it" }));
  },
  caught: [[sourceFile("libs/a/src/x.test.ts", "")]],
  passed: [
    [sourceFile("libs/a/src/x.test.ts", ""), sourceFile("libs/a/src/x.ts", "")],
    [sourceFile("libs/a/src/x.model.test.ts", ""), sourceFile("libs/a/src/x.ts", "")],
    [sourceFile("libs/a/src/units/units.test.ts", "")],
  ],
});
