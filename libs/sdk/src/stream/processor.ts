import { StreamServiceService } from "@millrace/proto/stream";
import type { MillraceClient } from "../connect.js";
import { toGroupSettings } from "../consume/group-settings.js";
import type { MessageHandlers } from "../consume/message-handlers.js";
import { type DerivedCalls, derivedCalls } from "../consume/derived.js";
import { describeMapping, type MappedFile, mmapFile } from "../large-file/mapped-file.js";
import { type OutgoingMessage, toOutgoing } from "../publish/outgoing.js";
import { publishAll, type Published, publishOne, type PublishTarget } from "../publish/publish-all.js";
import { createLanePublishers } from "../publish/lane-publishers.js";
import { createHandlers, type Handlers } from "../receive/handlers.js";
import type { StreamEvent } from "../receive/event-types.js";
import { notifyChannel } from "../trigger/triggers.js";
import { subscribe, type SubscribeOptions, type Subscription } from "../receive/subscription.js";
import { MillraceError } from "../rpc/millrace-error.js";
import { type Artifact, getOrCreateArtifact } from "./artifact.js";
import { type ArtifactInfo, listArtifacts, type ListArtifactsOptions } from "./contents.js";
import { addFileSource, type FileSourceOptions } from "./file-source.js";
import {
  checkCreateOptions,
  checkName,
  checkProcessorOptions,
  type CreateOptions,
  namesSettings,
  type ProcessorOptions,
  toStream,
} from "./options.js";
import { replay, type ReplayOptions, type ReplayProgress } from "./replay.js";
import { type AnonymizedContent, anonymizeContent, type ContentName } from "./privacy.js";
import { findSimilarContent, type SimilarOptions, type SimilarTo } from "./similar.js";
import { type Hit, search, type SearchOptions, type SearchResult } from "./search.js";
import { describeDifferences, type StreamInfo, toStreamInfo } from "./settings.js";
import type { SourceHandle } from "./source-handle.js";
import type { StreamStatus } from "./streams.js";
import { addKafkaSource, type KafkaSourceOptions } from "../source/kafka-source.js";
import { addWebsocketSource, type WebsocketSourceOptions } from "./websocket-source.js";

export interface ProcessorStatus extends StreamStatus {
  /** Of this process: handler calls at a time at most, and those under way. */
  handlers: { parallelism: number; underWay: number };
  /** How `mmapFile` of this process reads. */
  files: { dataPath: "mapped" | "read"; reason: string };
}

/** One stream, as this process works with it. `close` stops its handlers and sends what is pending. */
export interface StreamProcessor extends AsyncDisposable, DerivedCalls, Omit<Handlers, "runner"> {
  readonly name: string;
  /** The stream's settings when it was created or attached to. */
  readonly settings: StreamInfo;
  status(): Promise<ProcessorStatus>;
  /**
   * Resolves when the message is durable. Waits where the server has no credits: that is the back-pressure.
   */
  publish(message: OutgoingMessage): Promise<Published>;
  /** All in order within a lane; rejects with PublishRefused, once all are settled, if any was refused. */
  publish(messages: readonly OutgoingMessage[]): Promise<Published[]>;
  addFileSource(options: FileSourceOptions): Promise<SourceHandle>;
  addKafkaSource(options: KafkaSourceOptions): Promise<SourceHandle>;
  addWebsocketSource(options: WebsocketSourceOptions): Promise<SourceHandle>;
  /** Opens a file of this machine as the stream's memoryMapping, mmapSize and zeroCopy say. */
  mmapFile(path: string): MappedFile;
  /** The stream's results, from now on or from a resume token. */
  subscribe(options?: SubscribeOptions): Subscription;
  /**
   * Sends what came out of this stream into another one. Resolves with the final count; the same replay again
   * is recognised message by message.
   */
  replay(options: ReplayOptions): Promise<ReplayProgress>;
  getOrCreateArtifact(sourceId: string): Promise<Artifact>;
  /** Those that hold contents, in the order of their first ones, page by page as they are read. */
  listArtifacts(options?: ListArtifactsOptions): AsyncIterable<ArtifactInfo>;
  /**
   * Finds and replaces personal data in a content that is stored already, by every detector: in artifact,
   * results and index, whose old bytes are overwritten. Subscribers get the message again under its id.
   */
  anonymizeContent(content: ContentName): Promise<AnonymizedContent>;
  /** Contents of this stream that are nearly the same as a text or as a stored content. */
  findSimilarContent(content: SimilarTo, options?: Omit<SimilarOptions, "streams">): Promise<Hit[]>;
  /**
   * Tells the channel `privacy-team` of an event, by a `notification` event, which a trigger on that type
   * carries on. Throws `failed_precondition` where there is none. Resolves with the notification's id.
   */
  notifyPrivacyTeam(event: StreamEvent): Promise<string>;
  /** Searches this stream's contents by meaning. */
  search(query: string, options?: Omit<SearchOptions, "streams">): Promise<SearchResult>;
  close(): Promise<void>;
}

/**
 * Creates the stream, or attaches to it where it exists. With no setting named it is attached to as it is;
 * with
 * other settings than it has, it is refused (`already_exists`, naming them), or changed if `update` is true.
 */
export async function createStreamProcessor(
  name: string,
  client: MillraceClient,
  options: CreateOptions = {},
): Promise<StreamProcessor> {
  checkName(name);
  checkCreateOptions(options);
  const { channel } = client;
  const wanted = toStream(name, options);
  const attempted = `create stream ${name}`;
  try {
    const { stream } = await channel.unary(
      StreamServiceService.createStream,
      { stream: wanted },
      { attempted },
    );
    return processor(client, toStreamInfo(stream ?? wanted), options);
  } catch (caught) {
    if (!(caught instanceof MillraceError) || caught.code !== "already_exists") throw caught;
    if (!namesSettings(options)) return processor(client, await client.streams.get(name), options);
    if (options.update !== true) throw await differs(client, { wanted: toStreamInfo(wanted), caught });
    const call = { attempted: `update stream ${name}` };
    const { stream } = await channel.unary(StreamServiceService.updateStream, { stream: wanted }, call);
    return processor(client, toStreamInfo(stream ?? wanted), options);
  }
}

/** Attaches to a stream as it is; throws `not_found` where there is none. */
export async function attachStreamProcessor(
  name: string,
  client: MillraceClient,
  options: ProcessorOptions = {},
): Promise<StreamProcessor> {
  checkProcessorOptions(options);
  return processor(client, await client.streams.get(name), options);
}

interface Conflict {
  wanted: StreamInfo;
  caught: MillraceError;
}

async function differs(client: MillraceClient, { wanted, caught }: Conflict): Promise<MillraceError> {
  const there = await client.streams.get(wanted.name);
  const differences = describeDifferences(there, wanted);
  const what = differences.length === 0 ? "its settings differ" : differences.join("; ");
  return new MillraceError("already_exists", `create stream ${wanted.name}: it exists, and ${what}`, {
    field: differences[0]?.split(" ")[0] ?? "name",
    remedy: "Use its settings, another name, or update: true.",
    cause: caught,
  });
}

function processor(client: MillraceClient, settings: StreamInfo, options: ProcessorOptions): StreamProcessor {
  const { channel } = client;
  const stream = settings.name;
  const { asyncProcessing = true, onError } = options;
  const parallelism = asyncProcessing ? (options.parallelism ?? 4) : 1;
  const { memoryMapping, zeroCopy } = settings;
  const mapping = { memoryMapping, zeroCopy, ...(settings.mmapSize > 0 && { mmapSize: settings.mmapSize }) };
  const { runner, ...register } = createHandlers(channel, {
    stream,
    parallelism,
    mapping,
    group: toGroupSettings(options.group),
    ...(onError && { onError }),
  });
  const usual = settings.processingMode === "batch" ? "batch" : "high";
  const publishers = createLanePublishers(channel, stream, usual);
  const ready = async (): Promise<void> => {
    if (!runner.isReady) await runner.ready();
  };
  const assertOutput = (isOn: boolean, output: string): void => {
    if (isOn) return;
    const remedy = `Create the stream with outputs.${output} on.`;
    const problem = `stream ${stream} has no ${output} to read`;
    throw new MillraceError("failed_precondition", problem, { field: `outputs.${output}`, remedy });
  };
  const hasResults = settings.outputs.results !== undefined;

  const { publish, settled } = createPublish({ channel, stream, publishers }, ready);
  async function close(): Promise<void> {
    await runner.stop();
    await settled();
    await publishers.close();
  }

  return {
    name: stream,
    settings,
    async status() {
      const handlers = { parallelism, underWay: runner.underWay };
      return { ...(await client.streams.status(stream)), handlers, files: describeMapping(mapping) };
    },
    publish,
    addKafkaSource: async (source) => {
      await ready();
      return addKafkaSource(channel, stream, source);
    },
    addWebsocketSource: async (source) => {
      await ready();
      return addWebsocketSource(channel, stream, source);
    },
    async addFileSource(source) {
      await ready();
      return addFileSource(channel, stream, source);
    },
    mmapFile: (path) => mmapFile(path, mapping),
    ...checked(register, () => assertOutput(hasResults, "results")),
    ...derivedCalls(publish),
    onLargeFile: register.onLargeFile,
    onEvent(type, handle) {
      assertOutput(type !== "new_data" || settings.outputs.events, "events");
      return register.onEvent(type, handle);
    },
    subscribe(subscribeOptions = {}) {
      assertOutput(hasResults, "results");
      return subscribe(channel, { stream, options: subscribeOptions });
    },
    replay: (replayOptions) => replay(channel, stream, replayOptions),
    getOrCreateArtifact: (sourceId) => getOrCreateArtifact(channel, { stream, sourceId, ready }),
    listArtifacts: (listOptions = {}) => listArtifacts(channel, stream, listOptions),
    findSimilarContent: (content, similar = {}) =>
      findSimilarContent(channel, content, { ...similar, streams: [stream] }),
    anonymizeContent: (content) => anonymizeContent(channel, stream, content),
    notifyPrivacyTeam: (event) => notifyChannel(channel, "privacy-team", event),
    search: (query, searchOptions = {}) => search(channel, query, { ...searchOptions, streams: [stream] }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Handlers of messages, registered once the check has passed. */
function checked(register: MessageHandlers, check: () => void): MessageHandlers {
  const after =
    <Args extends unknown[], Result>(call: (...args: Args) => Result) =>
    (...args: Args): Result => {
      check();
      return call(...args);
    };
  return {
    onTextMessage: after(register.onTextMessage),
    onDataMessage: after(register.onDataMessage),
    onImageMessage: after(register.onImageMessage),
    batchProcessor: after(register.batchProcessor),
    consume: after(register.consume),
  };
}

interface Publishing {
  publish: StreamProcessor["publish"];
  /** Resolves when all calls have ended; waits no longer than publishing does before it gives up. */
  settled: () => Promise<void>;
}

function createPublish(target: PublishTarget, ready: () => Promise<void>): Publishing {
  const calls = new Set<Promise<unknown>>();
  async function send(given: OutgoingMessage | readonly OutgoingMessage[]): Promise<Published | Published[]> {
    if (isList(given)) {
      const outgoing = given.map((message, index) => toOutgoing(message, `messages[${index}]`));
      await ready();
      return publishAll(target, outgoing);
    }
    const outgoing = toOutgoing(given, "message");
    await ready();
    return publishOne(target, outgoing);
  }
  function publish(message: OutgoingMessage): Promise<Published>;
  function publish(messages: readonly OutgoingMessage[]): Promise<Published[]>;
  function publish(given: OutgoingMessage | readonly OutgoingMessage[]): Promise<Published | Published[]> {
    const call = send(given);
    calls.add(call);
    const remove = (): boolean => calls.delete(call);
    call.then(remove, remove);
    return call;
  }
  async function settled(): Promise<void> {
    if (calls.size === 0) return;
    const { sleep, publishGiveUpMs } = target.channel.environment;
    const waited = new AbortController();
    await Promise.race([Promise.allSettled(calls), sleep(publishGiveUpMs, waited.signal)]);
    waited.abort();
  }
  return { publish, settled };
}

/** Array.isArray does not narrow readonly arrays. */
function isList(given: OutgoingMessage | readonly OutgoingMessage[]): given is readonly OutgoingMessage[] {
  return Array.isArray(given);
}
