/*
 * What each character of a TypeScript or JavaScript file is. One pass over the text:
 *
 *     code ──"──► string ──"──► code        code ──//──► comment ──line end──► code
 *     code ──`──► string ──${──► code ──}──► string ──`──► code
 *     code ──/──► string (a regular expression), where no value stands before the slash
 */
const enum Part {
  Code = 0,
  Comment = 1,
  String = 2,
}

/** Three views of a file, all of its length and with its line feeds: what a view leaves out is blank. */
export interface CodeText {
  code: string;
  comments: string;
  strings: string;
}

export function codeText(text: string): CodeText {
  const parts = partsOf(text);
  const view = (wanted: Part): string =>
    Array.from({ length: text.length }, (_, at) => {
      const char = text.charAt(at);
      return char === "\n" || parts[at] === wanted ? char : " ";
    }).join("");
  return { code: view(Part.Code), comments: view(Part.Comment), strings: view(Part.String) };
}

function partsOf(text: string): Uint8Array {
  const parts = new Uint8Array(text.length);
  // Braces open in each template expression that we are in, innermost last.
  const templates: number[] = [];
  let before = "";
  let at = 0;
  const mark = (to: number, part: Part): void => {
    parts.fill(part, at, to);
    at = to;
  };
  const template = (from: number): void => {
    const end = templateEnd(text, from);
    if (text[end - 1] === "{") templates.push(0);
    mark(end, Part.String);
    before = "`";
  };
  while (at < text.length) {
    const char = text.charAt(at);
    const two = text.slice(at, at + 2);
    const depth = templates.at(-1);
    if (two === "//") mark(endOf(text, at, "\n"), Part.Comment);
    else if (two === "/*") mark(endOf(text, at + 2, "*/") + 2, Part.Comment);
    else if (char === '"' || char === "'") {
      mark(quoteEnd(text, at), Part.String);
      before = char;
    } else if (char === "`") template(at + 1);
    else if (char === "}" && depth === 0) {
      templates.pop();
      template(at + 1);
    } else if (char === "/" && beginsExpression(before)) {
      mark(regexEnd(text, at), Part.String);
      before = "/";
    } else {
      if (depth !== undefined && char === "{") templates[templates.length - 1] = depth + 1;
      if (depth !== undefined && char === "}") templates[templates.length - 1] = depth - 1;
      if (char.trim() !== "") before = (before + char).slice(-10);
      else if (/[\w$]$/.test(before)) before += " ";
      at++;
    }
  }
  return parts;
}

function endOf(text: string, from: number, what: string): number {
  const end = text.indexOf(what, from);
  return end < 0 ? text.length : end;
}

function quoteEnd(text: string, from: number): number {
  const quote = text[from];
  let at = from + 1;
  while (at < text.length && text[at] !== quote && text[at] !== "\n") at += text[at] === "\\" ? 2 : 1;
  return at + 1;
}

/** Behind the closing backtick, or behind the `${` of an expression. */
function templateEnd(text: string, from: number): number {
  let at = from;
  for (; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === "`") return at + 1;
    else if (text[at] === "$" && text[at + 1] === "{") return at + 2;
  }
  return at;
}

function regexEnd(text: string, from: number): number {
  let inClass = false;
  let at = from + 1;
  for (; at < text.length && text[at] !== "\n"; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === "[") inClass = true;
    else if (text[at] === "]") inClass = false;
    else if (text[at] === "/" && !inClass) return at + 1;
  }
  return at;
}

/**
 * A slash after a value divides; after an operator, a bracket or a keyword it begins a regular expression.
 */
function beginsExpression(before: string): boolean {
  const last = before.trim();
  return last === "" || /[(,=:[!&|?{};+\-*%~^<>]$/.test(last) || /\b(return|typeof|case|in|of)$/.test(last);
}
