export type CleanNames = (
  of: { tenant: string; stream: string },
  names: string[],
  timeoutMs: number,
) => Promise<string[]>;

/** As privacy lets them pass, in the same order: whoever names one may have it from before the filter. */
export async function cleanSourceIds(
  cleanNames: CleanNames,
  of: { tenant: string; stream: string },
  sourceIds: readonly string[],
  timeoutMs: number,
): Promise<string[]> {
  const names = [...new Set(sourceIds)];
  if (names.length === 0) return [];
  const cleaned = await cleanNames(of, names, timeoutMs);
  const byName = new Map(names.map((name, at) => [name, cleaned[at] ?? ""]));
  return sourceIds.map((name) => byName.get(name) ?? "");
}
