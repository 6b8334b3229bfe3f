import type { MillraceClient } from "@millrace/sdk";

/** The two streams of the main job: lines of files in the batch lane, and messages published over gRPC. */
export const filesStream = "demo-files";
export const liveStream = "demo-live";

/** What an earlier start left. */
export interface DemoRun {
  /** All files were read and are out: a file source does not read them again. */
  filesAreDone: boolean;
  /** Messages were published by an earlier start that was stopped before its end. */
  liveIsContinued: boolean;
}

export interface Expected {
  files: number;
  live: number;
}

/** Results are kept for 24 h; what is older can't be checked any more, so the files are read anew. */
const filesKeptMs = 20 * 3_600_000;

/**
 * Goes on from the stored state. What is finished stays; live traffic is new each time, so a live stream that
 * is finished makes room for the next one, or its texts would be found twice.
 */
export async function prepareRun(
  client: MillraceClient,
  expected: Expected,
  nowMs: number,
): Promise<DemoRun> {
  const names = new Map<string, number>();
  for await (const { name, createdTime } of client.streams.list()) names.set(name, createdTime.getTime());
  const filesSince = names.get(filesStream);
  if (filesSince !== undefined && nowMs - filesSince > filesKeptMs) {
    await client.streams.delete(filesStream);
    names.delete(filesStream);
  }
  const filesAreDone = names.has(filesStream) && (await isDone(client, filesStream, expected.files));
  const liveIsDone = names.has(liveStream) && (await isDone(client, liveStream, expected.live));
  if (liveIsDone) await client.streams.delete(liveStream);
  return { filesAreDone, liveIsContinued: names.has(liveStream) && !liveIsDone };
}

async function isDone(client: MillraceClient, stream: string, messages: number): Promise<boolean> {
  const { conservation } = await client.streams.status(stream);
  return conservation.in >= messages && conservation.inFlight === 0;
}
