import { posix } from "node:path";
import { type Finding, keep, lineAt, matches } from "./rule.js";
import { isTest, isTypeScript, type SourceFile, sourceFile } from "./source-tree.js";

const inService = [
  "errors",
  "proto",
  "envelope",
  "files",
  "runtime",
  "messaging",
  "segments",
  "images",
  "kafka",
];

/**
 * Packages of ours that a package may import; a service, any of `inService`. `test` may import whatever it
 * tests.
 */
const directions: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  proto: [],
  files: ["errors"],
  images: ["errors", "files"],
  envelope: ["errors", "proto"],
  runtime: ["errors", "proto"],
  messaging: ["errors", "proto", "envelope", "runtime"],
  kafka: ["errors", "proto", "runtime"],
  segments: ["errors", "proto", "envelope", "files"],
  sdk: ["errors", "proto", "files"],
  testkit: ["errors", "proto", "envelope", "runtime", "messaging", "segments", "kafka", "sdk"],
  cli: ["errors", "proto", "envelope", "runtime", "messaging", "sdk", "examples"],
  examples: ["errors", "sdk"],
  e2e: ["cli", "messaging", "sdk", "testkit"],
};

/**
 * Of messaging and runtime: names and sums, no I/O. Subject literals live in one file, so whoever needs one
 * imports it.
 */
const pure = new Set([
  "anyPartition",
  "backoffMs",
  "createTurnOrder",
  "defaultTenant",
  "enrichedFlags",
  "isSureRefusal",
  "isInferred",
  "laneToken",
  "pastFilter",
  "routeOf",
  "stageFilters",
  "orderedPartition",
  "subjects",
]);

interface Import {
  line: number;
  target: string;
  /** What stays when compiled; undefined where that is not a list of names. */
  values: readonly string[] | undefined;
}

/** Statements, re-exports and dynamic imports. */
function importsOf(file: SourceFile): Import[] {
  const imports: Import[] = [];
  for (const match of file.text.matchAll(/\b(?:from|import)\s*\(?\s*"([^"\n]+)"/g)) {
    if (file.code[match.index] === " ") continue;
    const start = Math.max(
      file.code.lastIndexOf(";", match.index),
      file.code.lastIndexOf("\n\n", match.index),
    );
    const statement = file.code.slice(start + 1, match.index);
    imports.push({
      line: lineAt(file.text, match.index),
      target: match[1] ?? "",
      values: valuesOf(statement),
    });
  }
  return imports;
}

function valuesOf(statement: string): string[] | undefined {
  if (/\b(import|export)\s+type\b/.test(statement)) return [];
  const names = /\{([^}]*)\}/
    .exec(statement)?.[1]
    ?.split(",")
    .map((name) => name.trim());
  return names?.filter((name) => name !== "" && !name.startsWith("type "));
}

/** `services/buffer/src/x.ts` is of package `buffer`, `cli/src/x.ts` of `cli`. */
function packageOf(path: string): string | undefined {
  const [group = "", name = ""] = path.split("/");
  return group === "libs" || group === "services" ? name : group;
}

function found(file: SourceFile, { line, target }: Import): Finding {
  return { path: file.path, line, what: `imports ${target}` };
}

function findDirections(files: readonly SourceFile[]): Finding[] {
  return files.filter(isTypeScript).flatMap((file) => {
    const from = packageOf(file.path) ?? "";
    if (from === "test") return [];
    const allowed = directions[from] ?? (file.path.startsWith("services/") ? inService : []);
    return importsOf(file)
      .filter(({ target }) => {
        const name = /^@millrace\/([^/]+)/.exec(target)?.[1];
        return name !== undefined && !allowed.includes(name);
      })
      .map((one) => found(file, one));
  });
}

keep({
  name: "packages import one way: errors, proto ← envelope, runtime ← messaging, kafka, segments ← services",
  remedy: "Move what is needed to a lib below both, or let the caller hand it in.",
  find: findDirections,
  caught: [
    [sourceFile("services/buffer/src/x.ts", 'import { privacy } from "@millrace/privacy";')],
    [sourceFile("libs/errors/src/x.ts", 'export type { Batch } from "@millrace/proto/batch";')],
    [sourceFile("libs/runtime/src/x.ts", 'const { a } = await import("@millrace/messaging");')],
  ],
  passed: [
    [sourceFile("libs/messaging/src/x.ts", '// from "@millrace/gateway"\nimport "@millrace/errors";')],
  ],
});

keep({
  name: "imports by path stay inside their package",
  remedy: "Import the package by its name.",
  find: (files) =>
    files.filter(isTypeScript).flatMap((file) => {
      const home = file.path.slice(0, file.path.indexOf("/src/") + 5);
      return importsOf(file)
        .filter(({ target }) => target.startsWith("."))
        .filter(({ target }) => !posix.join(posix.dirname(file.path), target).startsWith(home))
        .map((one) => found(file, one));
    }),
  caught: [[sourceFile("services/a/src/x/y.ts", 'import { z } from "../../../../libs/errors/src/z.js";')]],
  passed: [[sourceFile("services/a/src/x/y.ts", 'import { z } from "../z.js";')]],
});

keep({
  name: "a service's domain folders know neither broker nor runtime",
  remedy:
    "Take what is needed as a parameter (its type may be imported), " +
    "or move the code to service.ts or handlers/.",
  find: (files) =>
    files.filter(isTypeScript).flatMap((file) => {
      const folder = /^services\/[^/]+\/src\/([^/]+)\//.exec(file.path)?.[1];
      if (folder === undefined || folder === "handlers" || isTest(file)) return [];
      return importsOf(file)
        .filter(({ target }) => /^@millrace\/(messaging|runtime)\b/.test(target))
        .filter(({ values }) => values?.every((name) => pure.has(name)) !== true)
        .map((one) => found(file, one));
    }),
  caught: [
    [
      sourceFile(
        "services/a/src/policy/x.ts",
        'import { connectBroker, type Ledger } from "@millrace/messaging";',
      ),
    ],
    [sourceFile("services/a/src/policy/x.ts", 'import {\n  runService,\n} from "@millrace/runtime";')],
  ],
  passed: [
    [sourceFile("services/a/src/policy/x.ts", 'import { subjects, type Route } from "@millrace/messaging";')],
    [sourceFile("services/a/src/handlers/x.ts", 'import { subjects } from "@millrace/messaging";')],
  ],
});

keep({
  name: "libs/messaging is the only importer of the NATS client",
  remedy: "Add what is missing to libs/messaging.",
  find: (files) =>
    files
      .filter((file) => isTypeScript(file) && !file.path.startsWith("libs/messaging/"))
      .flatMap((file) =>
        importsOf(file)
          .filter(({ target }) => /^(@nats-io\/|nats$)/.test(target))
          .map((one) => found(file, one)),
      ),
  caught: [[sourceFile("libs/testkit/src/x.ts", 'import { connect } from "@nats-io/transport-node";')]],
});

keep({
  name: "libs/kafka is the only importer of the Kafka clients",
  remedy: "Add what is missing to libs/kafka.",
  find: (files) =>
    files
      .filter((file) => isTypeScript(file) && !file.path.startsWith("libs/kafka/"))
      .flatMap((file) =>
        importsOf(file)
          .filter(({ target }) => /^(@platformatic\/|kafkajs$)/.test(target))
          .map((one) => found(file, one)),
      ),
  caught: [[sourceFile("services/a/src/x.ts", 'import { Kafka } from "kafkajs";')]],
});

keep({
  name: "the environment is read in libs/runtime, the command, scripts and e2e only",
  remedy: "Make it a config field, or take it as a parameter.",
  find: (files) =>
    files
      .filter((file) => isTypeScript(file) && !isTest(file))
      .filter(({ path }) => !/^(libs\/runtime|libs\/testkit|cli|e2e|test)\/|\/testing(\/|\.ts)/.test(path))
      .flatMap((file) => matches(file, /\bprocess\s*\.\s*env\b/, "code")),
  caught: [[sourceFile("services/a/src/config.ts", "const port = process.env.PORT;")]],
  passed: [[sourceFile("services/a/src/config.ts", '// process.env\nconst name = "process.env";')]],
});
