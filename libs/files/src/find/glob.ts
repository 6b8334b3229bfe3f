import { CodedError } from "@millrace/errors";
import picomatch from "picomatch";

/** A compiled pattern. Names are relative to the source's directory, with `/` between directories. */
export interface NamePattern {
  matches(name: string): boolean;
  /** How many directories deep a match can lie: 1 for `*.jsonl`, 2 for `logs/*.jsonl`, bounded for `**`. */
  readonly depthMax: number;
}

const patternCharsMax = 256;
/** What `**` reaches at most; deeper trees are a mistake more often than a wish. */
const globstarDepthMax = 8;
/**
 * Each star and each alternative multiplies what the compiled expression may try on a hostile name. With
 * these bounds the worst name of 255 bytes costs some 30 ms, the worst path of 2 KiB 0.2 s.
 */
const starsMax = 3;
const globstarsMax = 1;
const alternativesMax = 8;

/**
 * Compiles a glob of file names: `*`, `**`, `?`, `[a-z]`, `{a,b}` and `\` before a literal. Hidden names
 * match only a pattern that spells their dot. Refuses, as `invalid_argument` of `source.file.pattern`, what
 * would leave the directory, what is not balanced and what could be slow to match.
 */
export function compilePattern(pattern: string): NamePattern {
  checkPlace(pattern);
  checkSyntax(pattern);
  const matches = compile(pattern);
  const depth = pattern.split("/").length;
  return {
    matches: (name) => matches(name),
    depthMax: pattern.includes("**") ? globstarDepthMax : depth,
  };
}

function compile(pattern: string): (name: string) => boolean {
  try {
    return picomatch(pattern, { strictBrackets: true, noextglob: true, nonegate: true, windows: false });
  } catch (caught) {
    throw invalid("is not a glob", "Write it like *.jsonl or {a,b}-[0-9].log.", caught);
  }
}

function checkPlace(pattern: string): void {
  if (pattern === "") throw invalid("is empty", "Leave it out for *.jsonl, or write a glob of file names.");
  if (pattern.length > patternCharsMax) {
    throw invalid(`is longer than ${patternCharsMax} characters`, "Shorten it or split the source in two.");
  }
  if (pattern.includes("\0")) throw invalid("contains a NUL character", "Remove it.");
  if (pattern.startsWith("/")) {
    throw invalid(
      "is absolute",
      "Put the directory into source.file.path and only the names into the pattern.",
    );
  }
  const segments = pattern.split("/");
  if (segments.some((segment) => segment === "" || segment === "." || segment === "..")) {
    throw invalid("has an empty, `.` or `..` segment", "Name the directory itself in source.file.path.");
  }
  if (segments.length > globstarDepthMax) {
    throw invalid(
      `is deeper than ${globstarDepthMax} directories`,
      "Name a deeper directory in source.file.path.",
    );
  }
}

function checkSyntax(pattern: string): void {
  let bracket = false;
  let brace = false;
  let alternatives = 0;
  for (let index = 0; index < pattern.length; index++) {
    const char = pattern.charAt(index);
    if (char === "\\") {
      if (index + 1 === pattern.length) throw invalid("ends in a backslash", "Double it or remove it.");
      index++;
    } else if (bracket) {
      if (char === "]") bracket = false;
    } else if (char === "[") {
      bracket = true;
    } else if (char === "]") {
      throw invalid("has a `]` without its `[`", "Write \\] for a literal bracket.");
    } else if (char === "{") {
      if (brace) throw invalid("nests braces", "Write the alternatives in one pair of braces.");
      brace = true;
      alternatives++;
    } else if (char === "}") {
      if (!brace) throw invalid("has a `}` without its `{`", "Write \\} for a literal brace.");
      brace = false;
    } else if (char === "," && brace) {
      alternatives++;
    } else if (char === "(" || char === ")") {
      throw invalid("has a parenthesis", "Write alternatives as {a,b}, or \\( and \\) for literal ones.");
    }
  }
  if (bracket) throw invalid("has a `[` without its `]`", "Close it, or write \\[ for a literal bracket.");
  if (brace) throw invalid("has a `{` without its `}`", "Close it, or write \\{ for a literal brace.");
  if (alternatives > alternativesMax) {
    throw invalid(`has more than ${alternativesMax} alternatives in braces`, "Split the source in two.");
  }
  const stars = pattern.match(/\*+/g) ?? [];
  const globstars = stars.filter((run) => run.length > 1).length;
  if (globstars > globstarsMax || stars.length - globstars > starsMax) {
    throw invalid(`has more than ${starsMax} stars and one **`, "Split the source in two.");
  }
}

function invalid(what: string, remedy: string, cause?: unknown): CodedError {
  return new CodedError("invalid_argument", `the file pattern ${what}`, {
    field: "source.file.pattern",
    remedy,
    cause,
  });
}
