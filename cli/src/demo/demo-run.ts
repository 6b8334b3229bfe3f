import type { MillraceClient } from "@millrace/sdk";

/** The two streams of one run of the main job. */
export interface DemoRun {
  number: number;
  /** Lines of files, in the batch lane. */
  filesStream: string;
  /** Messages published over gRPC, in the high lane. */
  liveStream: string;
  /** An earlier start began it and was stopped before its end. */
  isContinued: boolean;
}

export interface Expected {
  files: number;
  live: number;
}

const filesPrefix = "demo-files-";
const livePrefix = "demo-live-";

/**
 * Goes on with a run that an earlier start left unfinished, else begins the next one. Streams of finished
 * runs are deleted then: their texts would be found twice.
 */
export async function chooseRun(client: MillraceClient, expected: Expected): Promise<DemoRun> {
  const names = new Set<string>();
  for await (const stream of client.streams.list()) names.add(stream.name);
  const numbers = [...names]
    .filter((name) => name.startsWith(filesPrefix))
    .map((name) => Number(name.slice(filesPrefix.length)));
  const last = Math.max(0, ...numbers);
  if (last > 0 && !(await isFinished(client, names, { last, expected }))) return runOf(last, true);
  for (const name of names) {
    if (name.startsWith(filesPrefix) || name.startsWith(livePrefix)) await client.streams.delete(name);
  }
  return runOf(last + 1, false);
}

async function isFinished(
  client: MillraceClient,
  names: ReadonlySet<string>,
  { last, expected }: { last: number; expected: Expected },
): Promise<boolean> {
  const { filesStream, liveStream } = runOf(last, true);
  if (!names.has(liveStream)) return false;
  const files = (await client.streams.status(filesStream)).conservation;
  const live = (await client.streams.status(liveStream)).conservation;
  return files.in >= expected.files && live.in >= expected.live && files.inFlight + live.inFlight === 0;
}

function runOf(number: number, isContinued: boolean): DemoRun {
  return {
    number,
    filesStream: `${filesPrefix}${number}`,
    liveStream: `${livePrefix}${number}`,
    isContinued,
  };
}
