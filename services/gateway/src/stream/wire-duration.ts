/** google.protobuf.Duration and Timestamp have the same form. */
export interface DurationOf {
  seconds: number;
  nanos: number;
}

export function millisecondsOf(duration: DurationOf): number {
  return duration.seconds * 1_000 + duration.nanos / 1e6;
}

export function wireTime(ms: number): DurationOf {
  return { seconds: Math.floor(ms / 1_000), nanos: Math.round((ms % 1_000) * 1e6) };
}
