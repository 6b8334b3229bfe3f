import { StreamServiceService } from "@millrace/proto/stream";
import type { Channel } from "../rpc/channel.js";
import { deleteGroup, type GroupStatus, listGroups, toGroupStatus } from "../consume/group-status.js";
import { checkName } from "./options.js";
import { type StreamInfo, toStreamInfo } from "./settings.js";

export interface StreamStatus {
  stream: StreamInfo;
  /** in = out + dead + dropped + inFlight, in messages; `balanced` says whether that holds. */
  conservation: {
    in: number;
    /** Settled at every declared output. */
    out: number;
    dead: number;
    dropped: number;
    inFlight: number;
    droppedByReason: Readonly<Record<string, number>>;
    balanced: boolean;
  };
  /** Batches that are stored for a stage and not settled yet. */
  stages: readonly { stage: string; batches: number }[];
  sources: readonly { source: string; position: number; messages: number; lastError: string }[];
  sinks: readonly { sink: string; messages: number }[];
  /** What it holds from accept until every output has it; undefined where buffer does not answer. */
  buffer: BufferStatus | undefined;
  /** Who shares the work on its results; one that `holdsBack` stops the stream in the end. */
  groups: readonly GroupStatus[];
  /** `synced`, or `unverified` where the broker can't be asked. */
  durability: string;
  /** `mapped`, `read` or `unknown`: how bulk bytes are read, then why, and what each stage read so far. */
  dataPath: string;
}

export interface BufferStatus {
  liveBytes: number;
  /** In force: `bufferSize`, or less where the bus could not hold it. */
  quotaBytes: number;
  /** Who waits for room; none: the stream is not full. */
  waiting: readonly string[];
  /** Live bytes by the output that has not settled them, the most first. */
  lags: readonly { sink: string; bytes: number }[];
}

/** The streams of a Millrace. Each call on a name that does not exist throws `not_found`. */
export interface Streams {
  list(): AsyncIterable<StreamInfo>;
  get(name: string): Promise<StreamInfo>;
  /** Removes the stream with what it kept on the bus and in the index. Stored files stay. */
  delete(name: string): Promise<void>;
  /** Sources stop and publishes are refused until `resume`; what was accepted goes on. */
  pause(name: string): Promise<StreamInfo>;
  resume(name: string): Promise<StreamInfo>;
  status(name: string): Promise<StreamStatus>;
  /** The groups that share its results: who holds it back. */
  groups(name: string): Promise<GroupStatus[]>;
  /** Ends the group's handlers and forgets where it was; what waited for it may be removed then. */
  deleteGroup(name: string, group: string): Promise<void>;
}

const pageSize = 100;

export function createStreams(channel: Channel): Streams {
  const onStream = (verb: string, name: string): { attempted: string } => {
    checkName(name);
    return { attempted: `${verb} stream ${name}` };
  };
  return {
    list: () => listStreams(channel),
    async get(name) {
      const { stream } = await channel.unary(StreamServiceService.getStream, { name }, onStream("get", name));
      return toStreamInfo(stream);
    },
    async delete(name) {
      await channel.unary(StreamServiceService.deleteStream, { name }, onStream("delete", name));
    },
    async pause(name) {
      const { stream } = await channel.unary(
        StreamServiceService.pauseStream,
        { name },
        onStream("pause", name),
      );
      return toStreamInfo(stream);
    },
    async resume(name) {
      const { stream } = await channel.unary(
        StreamServiceService.resumeStream,
        { name },
        onStream("resume", name),
      );
      return toStreamInfo(stream);
    },
    status: (name) => getStatus(channel, name, onStream("get the status of", name)),
    async groups(name) {
      checkName(name);
      return listGroups(channel, name);
    },
    async deleteGroup(name, group) {
      checkName(name);
      await deleteGroup(channel, name, group);
    },
  };
}

async function* listStreams(channel: Channel): AsyncGenerator<StreamInfo, void, undefined> {
  let pageToken = "";
  do {
    const request = { pageSize, pageToken };
    const page = await channel.unary(StreamServiceService.listStreams, request, {
      attempted: "list streams",
    });
    yield* page.streams.map(toStreamInfo);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}

async function getStatus(channel: Channel, name: string, call: { attempted: string }): Promise<StreamStatus> {
  const status = await channel.unary(StreamServiceService.getStreamStatus, { name }, call);
  const { conservation, stages, sources, sinks, buffer, groups, durability, dataPath } = status;
  return {
    stream: toStreamInfo(status.stream),
    conservation: {
      in: conservation?.in ?? 0,
      out: conservation?.out ?? 0,
      dead: conservation?.dead ?? 0,
      dropped: conservation?.dropped ?? 0,
      inFlight: conservation?.inFlight ?? 0,
      droppedByReason: conservation?.droppedByReason ?? {},
      balanced: conservation?.balanced ?? false,
    },
    stages,
    sources,
    sinks,
    buffer,
    groups: groups.map(toGroupStatus),
    durability,
    dataPath,
  };
}
