import { isAbsolute } from "node:path";
import { limits } from "@millrace/envelope";
import { FileFormat, type FileSource } from "@millrace/proto/source";
import { millisecondsOf } from "../stream/wire-duration.js";
import { type CompletedKind, invalid } from "./completed-kind.js";

const pathCharsMax = 4_096;
const patternCharsMax = 256;
const repeatMax = 1_000_000;
const pollMs = { default: 1_000, min: 50, max: 3_600_000 };

export function completeFileSource(given: FileSource): CompletedKind {
  const file = completeFile(given);
  const poll = millisecondsOf(file.pollInterval ?? { seconds: 0, nanos: 0 });
  const identity = [file.path, file.pattern, String(poll), file.sourceId];
  if (file.format !== FileFormat.FILE_FORMAT_LINES) identity.push(`format ${file.format}${file.delimiter}`);
  if (file.repeat !== 1) identity.push(`repeat ${file.repeat}`);
  return { kind: { $case: "file", value: file }, identity };
}

function completeFile(given: FileSource): FileSource {
  const { path, sourceId } = given;
  if (path.includes("\0") || !isAbsolute(path) || path.length > pathCharsMax) {
    throw invalid("source.file.path", "is no absolute path", "Start it with a slash.");
  }
  if (sourceId.length > limits.sourceIdCharsMax || /[\0-\x1f\x7f]/.test(sourceId)) {
    const remedy = `Use at most ${limits.sourceIdCharsMax} characters and no control characters.`;
    throw invalid("source.file.source_id", "cannot name a source", remedy);
  }
  const { format, delimiter } = checkFormat(given);
  const pattern = given.pattern === "" ? defaultPatterns[format] : given.pattern;
  checkPattern(pattern);
  const pollInterval = given.pollInterval ?? { seconds: pollMs.default / 1000, nanos: 0 };
  const poll = millisecondsOf(pollInterval);
  if (poll < pollMs.min || poll > pollMs.max) {
    const remedy = `Use ${pollMs.min} ms to ${pollMs.max / 1000} s.`;
    throw invalid("source.file.poll_interval", `is ${poll} ms`, remedy);
  }
  if (given.repeat > repeatMax) {
    throw invalid("source.file.repeat", `is ${given.repeat}`, `Use 1 to ${repeatMax}.`);
  }
  const repeat = Math.max(1, given.repeat);
  if (repeat > 1 && format !== FileFormat.FILE_FORMAT_LINES) {
    throw invalid("source.file.repeat", `is ${repeat}`, "Leave it out: only files of lines are repeated.");
  }
  return { path, pattern, pollInterval, sourceId, repeat, format, delimiter };
}

type KnownFormat = keyof typeof defaultPatterns;

const defaultPatterns = {
  [FileFormat.FILE_FORMAT_LINES]: "*.jsonl",
  [FileFormat.FILE_FORMAT_CSV]: "*.csv",
  [FileFormat.FILE_FORMAT_WHOLE]: "*",
};

function checkFormat(given: FileSource): { format: KnownFormat; delimiter: string } {
  const { format, delimiter } = given;
  switch (format) {
    case FileFormat.FILE_FORMAT_UNSPECIFIED:
    case FileFormat.FILE_FORMAT_LINES:
    case FileFormat.FILE_FORMAT_WHOLE: {
      const remedy = "Leave it out: only CSV files have one.";
      if (delimiter !== "") throw invalid("source.file.delimiter", "belongs to another format", remedy);
      return { format: format || FileFormat.FILE_FORMAT_LINES, delimiter };
    }
    case FileFormat.FILE_FORMAT_CSV:
      if (!/^[\t\x20-\x7e]?$/.test(delimiter) || /["\w]/.test(delimiter)) {
        const remedy = "Use one ASCII character that is no letter, digit or quote.";
        throw invalid("source.file.delimiter", "can't part fields", remedy);
      }
      return { format, delimiter: delimiter || "," };
    default:
      throw invalid("source.file.format", "is not known", "Use lines, csv or whole.");
  }
}

/** Refuses what cannot be a glob below a directory, so that it is told at once; ingestion compiles it. */
function checkPattern(pattern: string): void {
  const field = "source.file.pattern";
  const remedy = "Write a glob of file names, like *.jsonl or logs/{a,b}-[0-9].log.";
  if (pattern.length > patternCharsMax)
    throw invalid(field, `is longer than ${patternCharsMax} characters`, remedy);
  if (/[\0()]/.test(pattern.replaceAll(/\\./g, "")))
    throw invalid(field, "has a NUL or a parenthesis", remedy);
  if (pattern.split("/").some((segment) => ["", ".", ".."].includes(segment))) {
    throw invalid(field, "leaves its directory", remedy);
  }
  if (!isBalanced(pattern)) throw invalid(field, "has a bracket or brace without its counterpart", remedy);
}

/** Brackets may stand in braces, and neither in itself. */
function isBalanced(pattern: string): boolean {
  let isBracket = false;
  let isBrace = false;
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    if (char === "\\") {
      if (++at === pattern.length) return false;
    } else if (isBracket) {
      isBracket = char !== "]";
    } else if (char === "[") {
      isBracket = true;
    } else if (char === "]" || (char === "{" && isBrace) || (char === "}" && !isBrace)) {
      return false;
    } else if (char === "{" || char === "}") {
      isBrace = char === "{";
    }
  }
  return !isBracket && !isBrace;
}
