/** A stream of Millrace. */
export interface StreamId {
  tenant: string;
  stream: string;
}

/** Where the subjects of a stage's batches have the flag of a sink. */
const flagAt: Readonly<Record<string, number>> = { search: 1, results: 2, store: 3, kafka: 4 };

/**
 * The streams that have batches for a stage among the stored ones, from the subjects
 * `raw.<lane>.<partition>.<tenant>.<stream>` and `enriched.<search>.<results>.<store>.<kafka>.<lane>.…`.
 */
export function waitingStreams(stage: string, subjects: Iterable<string>): StreamId[] {
  const flag = flagAt[stage];
  const found = new Map<string, StreamId>();
  for (const subject of subjects) {
    const tokens = subject.split(".");
    if (flag !== undefined && tokens[flag] !== "y") continue;
    const [tenant = "", stream = ""] = tokens.slice(-2);
    found.set(`${tenant}.${stream}`, { tenant, stream });
  }
  return [...found.values()];
}
