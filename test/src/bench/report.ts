/** Progress goes to stderr, so that the last line of stdout is the result. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

export function line(text: string): void {
  process.stdout.write(`${text}\n`);
}

type Cell = string | number;

/** Columns as wide as their widest cell; numbers to the right. */
export function table(rows: readonly (readonly Cell[])[]): void {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, at) => (widths[at] = Math.max(widths[at] ?? 0, String(cell).length)));
  }
  for (const row of rows) {
    const cells = row.map((cell, at) =>
      typeof cell === "number" ? String(cell).padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0),
    );
    line(`  ${cells.join("  ").trimEnd()}`);
  }
}

export function rounded(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}
