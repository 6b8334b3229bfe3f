/** Replicas that were wanted at a moment, in ms of one clock. */
export interface Sample {
  atMs: number;
  replicas: number;
}

export interface ScaleEvent {
  atMs: number;
  from: number;
  to: number;
}

export function scaleEvents(samples: readonly Sample[]): ScaleEvent[] {
  return samples.flatMap(({ atMs, replicas }, at) => {
    const before = samples[at - 1]?.replicas ?? replicas;
    return before === replicas ? [] : [{ atMs, from: before, to: replicas }];
  });
}

/**
 * Each edge of the load may turn the direction of scaling once: up when load comes, down when it has gone.
 * More is flapping: replicas that come and go while nothing outside has changed.
 *
 * @param edgesMs moments at which the load came and went by turns; the first is its begin
 */
export function findFlapping(samples: readonly Sample[], edgesMs: readonly number[]): string[] {
  if (samples.length === 0) return ["nothing was observed"];
  const events = scaleEvents(samples);
  return [...edgesMs.keys()].flatMap((edge) => {
    const [begin, end] = [edgesMs[edge] ?? 0, edgesMs[edge + 1] ?? Number.POSITIVE_INFINITY];
    const within = events.filter(({ atMs }) => atMs >= begin && atMs < end);
    const turns = within.filter((event, at) => {
      const before = within[at - 1];
      return before !== undefined && Math.sign(event.to - event.from) !== Math.sign(before.to - before.from);
    });
    const wanted = edge % 2 === 0 ? 1 : -1;
    const isOneAsWanted = turns.every(({ from, to }) => Math.sign(to - from) === wanted);
    if (turns.length <= 1 && isOneAsWanted) return [];
    const told = within
      .map(({ from, to, atMs }) => `${from}→${to} after ${seconds(atMs - begin)}`)
      .join(", ");
    return [`after edge ${edge} the direction changed ${turns.length} times: ${told}`];
  });
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}
