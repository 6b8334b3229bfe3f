import { posix } from "node:path";
import { type Finding, keep, lineAt, matches } from "./rule.js";
import { isData, isTest, isTypeScript, type SourceFile, sourceFile } from "./source-tree.js";

const adrPath = /^docs\/adr\/(\d{4})-[a-z0-9-]+\.md$/;
const isAdr = ({ path }: SourceFile): boolean => adrPath.test(path);
const textOf = (files: readonly SourceFile[], path: string): string =>
  files.find((file) => file.path === path)?.text ?? "";

keep({
  name: "the index lists every ADR under its title",
  remedy: "Add the row to docs/adr/README.md: | [0001](0001-name.md) | title | date | status |",
  find: (files) => {
    const index = textOf(files, "docs/adr/README.md");
    return files.filter(isAdr).flatMap(({ path, text }): Finding[] => {
      const number = adrPath.exec(path)?.[1] ?? "";
      const title = /^# \d{4} (.+)$/m.exec(text)?.[1] ?? "";
      const row = index.split("\n").find((line) => line.includes(`[${number}](${posix.basename(path)})`));
      if (title === "") return [{ path, line: 1, what: `does not begin with "# ${number} title"` }];
      if (row === undefined) return [{ path, line: 0, what: "is not in the index" }];
      return row.includes(`| ${title} |`) ? [] : [{ path, line: 1, what: "has another title in the index" }];
    });
  },
  caught: [
    [sourceFile("docs/adr/0099-x.md", "# 0099 X\n")],
    [
      sourceFile("docs/adr/0099-x.md", "# 0099 X\n"),
      sourceFile("docs/adr/README.md", "| [0099](0099-x.md) | Y |\n"),
    ],
  ],
});

const adrParts = [/^- Date: \d{4}-\d\d-\d\d$/m, /^- Status: (proposed|accepted|superseded)/m, /^- Tags: \w/m];
const adrHeadings = ["Context", "Decision", "Alternatives", "Consequences"];
const adrLinesMax = 60;

keep({
  name: "every ADR has date, status, tags and its four parts on one page",
  remedy: "Give it the form of the others in docs/adr.",
  find: (files) =>
    files.filter(isAdr).flatMap(({ path, text }) => {
      const missing = [
        ...adrParts.filter((part) => !part.test(text)).map(String),
        ...adrHeadings.filter((heading) => !text.includes(`\n## ${heading}\n`)),
        ...(text.split("\n").length > adrLinesMax ? [`at most ${adrLinesMax} lines`] : []),
      ];
      return missing.map((what) => ({ path, line: 0, what: `lacks ${what}` }));
    }),
  caught: [[sourceFile("docs/adr/0099-x.md", "# 0099 X\n\n- Date: 2026-01-01\n")]],
});

const architecture = "docs/ARCHITECTURE.md";
const filePath = /`((?:services|libs|cli|scripts|proto|models|examples|test|docs)\/[^`\s]+\.[a-z]+)`/g;

keep({
  name: "every file that ARCHITECTURE names is there",
  remedy: "Correct the path in docs/ARCHITECTURE.md.",
  find: (files) => {
    const paths = new Set(files.map(({ path }) => path));
    const text = textOf(files, architecture);
    return [...text.matchAll(filePath)]
      .filter((match) => !paths.has(match[1] ?? ""))
      .map((match) => ({ path: architecture, line: lineAt(text, match.index), what: match[1] ?? "" }));
  },
  caught: [[sourceFile(architecture, "| a | `services/a/src/service.ts` |\n")]],
});

keep({
  name: "ARCHITECTURE shows service, handler, domain and config of every service",
  remedy: 'Give the service its row in the table "A message\'s way", with at least one file of each kind.',
  find: (files) => {
    const named = [...textOf(files, architecture).matchAll(filePath)].map((match) => match[1] ?? "");
    const services = new Set(
      files.flatMap(({ path }) => /^services\/([^/]+)\/package\.json$/.exec(path)?.[1] ?? []),
    );
    return [...services].flatMap((name) => {
      const kinds: Record<string, RegExp> = {
        service: new RegExp(`^services/${name}/src/service\\.ts$`),
        handler: new RegExp(`^services/${name}/src/handlers/`),
        domain: new RegExp(`^services/${name}/src/(?!handlers/)[^/]+/`),
        config: new RegExp(`^services/${name}/src/config\\.ts$`),
      };
      return Object.entries(kinds)
        .filter(([, pattern]) => !named.some((path) => pattern.test(path)))
        .map(([kind]) => ({ path: architecture, line: 0, what: `${name}: no ${kind} file is named` }));
    });
  },
  caught: [
    [sourceFile("services/a/package.json", "{}"), sourceFile(architecture, "`services/a/src/service.ts`\n")],
  ],
});

const documents = /^(README|CONTRIBUTING|CHANGELOG|SECURITY|docs\/.*|services\/[^/]+\/README)\.md$/;

const metricsPath = "docs/metrics.md";
const metricName = /\bmillrace_[a-z_]+/;

/** Metrics that services make, with the file that names them. */
function madeMetrics(files: readonly SourceFile[]): Map<string, string> {
  const sources = files.filter(
    (file) => /^(libs|services)\/[^/]+\/src\//.test(file.path) && isTypeScript(file) && !isTest(file),
  );
  return new Map(
    sources.flatMap(({ path, text }) =>
      [...text.matchAll(/"(millrace_[a-z_]+)"/g)].map((match): [string, string] => [match[1] ?? "", path]),
    ),
  );
}

keep({
  name: "docs/metrics.md lists every metric, and documents name no other",
  remedy: "Add its row to docs/metrics.md, or correct the name.",
  find: (files) => {
    const made = madeMetrics(files);
    const listed = textOf(files, metricsPath);
    const missing = [...made].filter(([name]) => !listed.includes(`\`${name}\``));
    const named = files
      .filter(({ path }) => documents.test(path))
      .flatMap((file) => matches(file, metricName));
    return [
      ...missing.map(([name, path]) => ({ path, line: 0, what: `${name} is not listed` })),
      ...named.filter(({ what }) => !made.has(what)),
    ];
  },
  caught: [
    [sourceFile("libs/a/src/x.ts", 'gauge("millrace_things", "Things.")')],
    [sourceFile("docs/reliability.md", "counted in `millrace_things`")],
  ],
  passed: [
    [
      sourceFile("libs/a/src/x.ts", 'gauge("millrace_things", "Things.")'),
      sourceFile(metricsPath, "| `millrace_things` | |"),
    ],
  ],
});

keep({
  name: "links between documents lead somewhere",
  remedy: "Correct the link.",
  find: (files) => {
    const paths = files.map(({ path }) => path);
    const exists = (path: string): boolean =>
      path === "." || paths.some((known) => known === path || known.startsWith(`${path}/`));
    return files
      .filter((file) => file.path.endsWith(".md") && !isData(file))
      .flatMap((file) =>
        [...file.text.matchAll(/\]\((?!\w+:|#)([^)#\s]+)[^)]*\)/g)]
          .filter((match) => !exists(posix.join(posix.dirname(file.path), match[1] ?? "").replace(/\/$/, "")))
          .map((match) => ({ path: file.path, line: lineAt(file.text, match.index), what: match[1] ?? "" })),
      );
  },
  caught: [[sourceFile("docs/x.md", "[gone](adr/gone.md)")]],
  passed: [[sourceFile("docs/x.md", "[a](https://example.com/a) [b](#b)")]],
});

/** In pieces, so that this file does not hold what it forbids. */
const adjectives = [
  "blazing",
  "seamless",
  "cutting-edge",
  "revolutionary",
  "world-class",
  "best-in-class",
  "enterprise-grade",
];

keep({
  name: "documents state facts",
  remedy: "Say what it does, with a figure where there is one.",
  find: (files) =>
    files
      .filter(({ path }) => documents.test(path))
      .flatMap((file) => matches(file, new RegExp(`\\b(${adjectives.join("|")})`, "i"))),
  caught: [[sourceFile("docs/x.md", "A seamless, world-class pipeline.")]],
});
