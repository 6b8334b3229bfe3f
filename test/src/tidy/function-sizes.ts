export interface FunctionSize {
  /** From 1. */
  line: number;
  /** Lines that are neither blank nor comments, those of functions inside left out. */
  ownLines: number;
  /** The same, those of functions inside counted in. */
  allLines: number;
}

/**
 * Functions of formatted code, told by indentation: one begins on a line that ends with `=> {`, or with `{`
 * after a parameter list, and ends at the next line of the same indentation that begins with `}`. A factory
 * whose closures share its state is as long as what it does itself; each closure counts for itself.
 */
export function functionSizes(code: string): FunctionSize[] {
  const lines = code.split("\n");
  const sizes: FunctionSize[] = [];
  for (let index = 0; index < lines.length; index++) {
    if (!opensFunction(lines, index)) continue;
    const end = closingLine(lines, index);
    sizes.push({
      line: index + 1,
      ownLines: ownLines(lines, index, end),
      allLines: written(lines, index, end),
    });
  }
  return sizes;
}

function ownLines(lines: readonly string[], from: number, to: number): number {
  let count = 0;
  for (let index = from; index <= to; index++) {
    if (index > from && opensFunction(lines, index)) index = closingLine(lines, index);
    else if (lines[index]?.trim() !== "") count++;
  }
  return count;
}

function written(lines: readonly string[], from: number, to: number): number {
  return lines.slice(from, to + 1).filter((line) => line.trim() !== "").length;
}

function opensFunction(lines: readonly string[], index: number): boolean {
  const line = (lines[index] ?? "").trimEnd();
  if (!line.endsWith("{")) return false;
  if (/=>\s*\{$/.test(line)) return true;
  if (/^\s*\}?\s*(if|for|while|switch|catch|with|else|do|try|class|interface)\b/.test(line)) return false;
  return (
    /\bfunction\b.*\{$/.test(line) ||
    /^\s*(?:[\w$]+\s+)*[\w$]+(?:<.*>)?\(.*\).*\{$/.test(line) ||
    /^\s*\)(: .+)? \{$/.test(line)
  );
}

function closingLine(lines: readonly string[], from: number): number {
  const indent = indentOf(lines[from] ?? "");
  for (let index = from + 1; index < lines.length; index++) {
    const line = lines[index] ?? "";
    if (line.trim() !== "" && indentOf(line) <= indent) return index;
  }
  return lines.length - 1;
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}
