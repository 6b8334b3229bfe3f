import { type Finding, keep, matches } from "./rule.js";
import { isCode, isData, type SourceFile, sourceFile } from "./source-tree.js";

const isProse = ({ path }: SourceFile): boolean => /\.(md|proto)$/.test(path);
/** These name the words that they forbid. */
const isGlossary = ({ path }: SourceFile): boolean =>
  path === "docs/GLOSSARY.md" || path === "CONTRIBUTING.md" || path.startsWith("test/src/tidy/");

function findWord(files: readonly SourceFile[], word: RegExp): Finding[] {
  return files
    .filter((file) => (isCode(file) || isProse(file)) && !isData(file) && !isGlossary(file))
    .flatMap((file) => matches(file, word));
}

keep({
  name: "a delivery is settled by ack, nak or term",
  remedy: "JetStream's word is nak.",
  find: (files) => findWord(files, /(?<![A-Za-z])nack|Nack/),
  caught: [[sourceFile("libs/a/src/x.ts", "const nackDelayMs = 5;")]],
  passed: [[sourceFile("libs/a/src/x.ts", "message.nak(); // Unacknowledged")]],
});

keep({
  name: "a topic is Kafka's; ours are subjects",
  remedy: "Say subject or stream, or name Kafka in the line.",
  find: (files) =>
    findWord(
      // What lies in a folder of that name speaks of nothing else.
      files.filter(({ path }) => !/(^|\/)[^/]*kafka[^/]*(\/|$)/.test(path)),
      /^(?!.*(?:kafka|consumerGroup)).*\btopics?\b/i,
    ),
  caught: [[sourceFile("libs/a/src/x.ts", "const topic = `raw.${lane}`;")]],
  passed: [[sourceFile("docs/x.md", "A Kafka topic is a source.")]],
});

keep({
  name: "folders and files are named for what they hold",
  remedy: "Name the noun inside; code that has none stays beside its one user.",
  find: (files) =>
    files
      .filter(({ path }) => /(^|\/)(utils?|helpers?|common|shared|core|misc|lib)(\/|\.[a-z]+$)/.test(path))
      // scripts/lib holds what the commands are made of.
      .filter(({ path }) => !path.startsWith("scripts/lib/"))
      .map(({ path }) => ({ path, line: 0, what: "the name says nothing" })),
  caught: [
    [sourceFile("services/a/src/utils/x.ts", "")],
    [sourceFile("libs/common/src/x.ts", "")],
    [sourceFile("services/a/src/helpers.ts", "")],
  ],
  passed: [[sourceFile("services/a/src/policy/common-names.ts", "")]],
});

keep({
  name: "files are named in kebab case with one to four words",
  remedy: "Name the file as its main export, in kebab case.",
  find: (files) =>
    files
      .filter((file) => isCode(file))
      .filter(({ path }) => !/\/[a-z0-9]+(-[a-z0-9]+){0,3}(\.[a-z]+)*$/.test(`/${path}`))
      .map(({ path }) => ({ path, line: 0, what: "not in kebab case, or too long" })),
  caught: [[sourceFile("libs/a/src/userKeys.ts", "")], [sourceFile("libs/a/src/a-b-c-d-e.ts", "")]],
});
