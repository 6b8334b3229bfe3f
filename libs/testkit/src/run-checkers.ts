/** Judges of how a run went, beside those of what arrived. Each returns what is wrong: empty is well. */

/** How far a stream was behind at a moment. */
export interface Lag {
  /** Milliseconds since the fault was over. */
  atMs: number;
  /** Messages accepted and not out yet. */
  messages: number;
}

/** The lag must be 0 within the time, and stay so. */
export function findBehind(lags: readonly Lag[], withinMs: number): string[] {
  const last = lags.at(-1);
  if (last === undefined || (last.atMs < withinMs && last.messages > 0)) {
    return [`nobody looked up to ${withinMs} ms`];
  }
  const late = lags.filter(({ atMs, messages }) => atMs > withinMs && messages > 0);
  return late.slice(0, 1).map(({ atMs, messages }) => `${messages} messages behind after ${atMs} ms`);
}

/** What a stage was handed, in batches. */
export interface StageInput {
  stage: string;
  /** Batches that were stored for it. */
  stored: number;
  /** Times that one was handed out. */
  delivered: number;
}

/** A stage may be handed a batch again after a crash, but not more often than was in flight. */
export function findRedelivered(inputs: readonly StageInput[], redeliveriesMax: number): string[] {
  return inputs.flatMap(({ stage, stored, delivered }) => {
    const again = delivered - stored;
    return again > redeliveriesMax ? [`${stage} was handed ${again} batches again`] : [];
  });
}

/** What a process holds at a moment. */
export interface Held {
  program: string;
  /** Memory of its own, without pages of mapped files. */
  rssAnonBytes: number;
  /** Open file descriptors. */
  files: number;
}

export interface HeldBounds {
  rssAnonBytesMax: number;
  /** More descriptors than before that are no leak: connections, a file being rolled. */
  filesMoreMax: number;
}

/** Memory stays below its bound all the time; descriptors are as few as before once all is quiet again. */
export function findGrown(
  { before, during, after }: { before: readonly Held[]; during: readonly Held[]; after: readonly Held[] },
  { rssAnonBytesMax, filesMoreMax }: HeldBounds,
): string[] {
  const most = new Map<string, number>();
  for (const { program, rssAnonBytes } of [...during, ...after])
    most.set(program, Math.max(rssAnonBytes, most.get(program) ?? 0));
  const large = [...most]
    .filter(([, bytes]) => bytes > rssAnonBytesMax)
    .map(([program, bytes]) => `${program} held ${Math.round(bytes / 1e6)} MB`);
  const filesBefore = new Map(before.map(({ program, files }) => [program, files]));
  const gone = before.filter(({ program }) => !after.some((one) => one.program === program));
  return [
    ...large,
    ...gone.map(({ program }) => `${program} is gone`),
    ...after.flatMap(({ program, files }) => {
      const more = files - (filesBefore.get(program) ?? 0);
      return more > filesMoreMax ? [`${program} holds ${more} more files than before`] : [];
    }),
  ];
}
