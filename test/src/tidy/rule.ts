import assert from "node:assert/strict";
import { test } from "node:test";
import { exemptions } from "./exemptions.js";
import { type SourceFile, sourceTree } from "./source-tree.js";

export interface Finding {
  path: string;
  /** 0: the file as a whole. */
  line: number;
  what: string;
}

export interface Rule {
  /** The fact that holds, as a sentence; also the name of its test and of its exemptions. */
  name: string;
  /** What to do about a finding. */
  remedy: string;
  find(files: readonly SourceFile[]): Finding[];
  /** Trees in which the rule must find something: without them a rule that finds nothing proves nothing. */
  caught: readonly (readonly SourceFile[])[];
  /** Trees in which it must find nothing. */
  passed?: readonly (readonly SourceFile[])[];
}

const findingsShownMax = 60;

/** Registers the test of a rule: first that it catches what it must, then that the repository keeps it. */
export function keep(rule: Rule): void {
  void test(rule.name, () => {
    for (const files of rule.caught) {
      assert.ok(rule.find(files).length > 0, `the rule does not catch ${files[0]?.path}: ${files[0]?.text}`);
    }
    for (const files of rule.passed ?? []) assert.deepEqual(rule.find(files), [], "the rule finds too much");
    const excused = exemptions.filter((exemption) => exemption.rule === rule.name);
    const found = rule.find(sourceTree());
    const left = found.filter(({ path }) => !excused.some((exemption) => isBelow(path, exemption.path)));
    assert.equal(left.length, 0, describe(left, rule.remedy));
    const unused = excused.filter((exemption) => !found.some(({ path }) => isBelow(path, exemption.path)));
    assert.deepEqual(unused, [], "these exemptions excuse nothing any more: remove them from exemptions.ts");
  });
}

function isBelow(path: string, file: string): boolean {
  return path === file || path.startsWith(`${file}/`);
}

function describe(findings: readonly Finding[], remedy: string): string {
  const lines = findings
    .slice(0, findingsShownMax)
    .map(({ path, line, what }) => `  ${path}${line === 0 ? "" : `:${line}`}: ${what}`);
  const more =
    findings.length > findingsShownMax ? [`  … and ${findings.length - findingsShownMax} more`] : [];
  return [`${findings.length} found. ${remedy}`, ...lines, ...more].join("\n");
}

/** Every match of a pattern, by line. `view` chooses code, comments, strings or all of the text. */
export function matches(
  file: SourceFile,
  pattern: RegExp,
  view: "code" | "comments" | "strings" | "text" = "text",
): Finding[] {
  return file[view].split("\n").flatMap((line, index) => {
    const found = pattern.exec(line);
    return found === null ? [] : [{ path: file.path, line: index + 1, what: found[0].trim() }];
  });
}

/** The line, counted from 1, in which a character stands. */
export function lineAt(text: string, at: number): number {
  return text.slice(0, at).split("\n").length;
}
