import { findingName, type SendableBatch } from "@millrace/envelope";

/** The metric of findings by type. */
export interface FindingsCounter {
  inc(labels: { type: string }, by: number): void;
}

export function countFindings({ findings }: SendableBatch["annotations"], found: FindingsCounter): void {
  if (findings === undefined) return;
  const counts = new Map<number, number>();
  for (const code of findings.types) counts.set(code, (counts.get(code) ?? 0) + 1);
  for (const code of findings.nameTypes) counts.set(code, (counts.get(code) ?? 0) + 1);
  for (const [code, count] of counts) found.inc({ type: findingName(code) }, count);
}
