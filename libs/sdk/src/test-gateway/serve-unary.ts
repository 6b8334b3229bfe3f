import { type handleClientStreamingCall, type handleUnaryCall, status } from "@grpc/grpc-js";
import type { ArtifactServiceServer, StoredContent } from "@millrace/proto/artifact";
import type { PublishServiceServer } from "@millrace/proto/message";
import type { SearchServiceServer } from "@millrace/proto/search";
import { SourceReport, SourceState, type SourceServiceServer } from "@millrace/proto/source";
import { Stream, type StreamServiceServer, StreamState } from "@millrace/proto/stream";
import { refusal } from "./refusal.js";
import { takeFailure } from "./serve-streams.js";
import { resultMessage, type Served } from "./state.js";

export interface UnaryServices {
  streams: StreamServiceServer;
  sources: SourceServiceServer;
  artifacts: ArtifactServiceServer;
  search: SearchServiceServer;
  publish: PublishServiceServer["publish"];
  uploadContent: PublishServiceServer["uploadContent"];
}

type Answer = <Request, Response>(
  method: string,
  respond: (request: Request) => Response,
) => handleUnaryCall<Request, Response>;

/** What is uploaded is kept as its `open` and the lengths of its frames. */
type Uploaded = <Request extends { step?: unknown }, Response>(
  method: string,
  respond: (open: OpenOf<Request>) => Response,
) => handleClientStreamingCall<Request, Response>;

type OpenOf<Request extends { step?: unknown }> =
  Extract<NonNullable<Request["step"]>, { $case: "open" }> extends { value: infer Open } ? Open : never;

export function serveUnary(served: Served): UnaryServices {
  const { state, changed } = served;
  const answer: Answer = (method, respond) => (call, callback) => {
    state.calls.push({ method, request: call.request });
    const failure = takeFailure(served, method);
    try {
      if (failure !== undefined) throw failure;
      callback(null, respond(call.request));
    } catch (error) {
      callback(error instanceof Error ? error : new Error("unknown"));
    }
    changed();
  };
  const upload: Uploaded = (method, respond) => (call, callback) => {
    const failure = takeFailure(served, method);
    if (failure !== undefined) return callback(failure instanceof Error ? failure : new Error("unknown"));
    let open: unknown;
    const lengths: number[] = [];
    call.on("data", ({ step }: { step: { $case: string; value: unknown } }) => {
      if (step.$case === "open") open = step.value;
      else lengths.push((step.value as Uint8Array).length);
    });
    call.on("end", () => {
      state.calls.push({ method, request: { open, lengths } });
      callback(null, respond(open as never));
      changed();
    });
  };
  return {
    streams: streamService(served, answer),
    sources: {
      addSource: answer("addSource", ({ source }) => {
        if (source === undefined) return { source };
        state.sources.push({ ...source, id: "source-1" });
        return { source: state.sources.at(-1) };
      }),
      removeSource: answer("removeSource", () => ({})),
      listSources: answer("listSources", ({ stream }) => ({
        sources: state.sources,
        reports: [reportIn(stream)],
      })),
      getSource: answer("getSource", ({ stream }) => ({
        source: state.sources[0],
        report: reportIn(stream),
      })),
      pauseSource: answer("pauseSource", () => ({ source: state.sources[0] })),
      resumeSource: answer("resumeSource", () => ({ source: state.sources[0] })),
    },
    artifacts: artifactService(answer, upload),
    search: {
      findSimilar: answer("findSimilar", ({ threshold }) => ({
        hits: [],
        model: "test",
        threshold: threshold ?? 0,
      })),
      searchArtifacts: answer("searchArtifacts", ({ artifacts }) => ({
        results: artifacts.map((artifact) => ({ artifact, hits: [] })),
        model: "test",
      })),
      search: answer("search", ({ query }) => ({
        hits: [
          {
            contentId: "c1",
            artifact: "a1",
            stream: "live",
            sourceId: "s1",
            score: 0.75,
            text: `like ${query}`,
          },
        ],
        model: "test",
      })),
    },
    publish: answer("publish", ({ idempotencyKey, ...message }) => {
      state.accepted.set(`key/${idempotencyKey}`, message);
      const position = { source: "unary", offset: state.accepted.size };
      return { messageId: "0123456789abcdef", position, durability: "synced" };
    }),
    uploadContent: upload("uploadContent", () => ({
      messageId: "0123456789abcdef",
      position: { source: "unary", offset: 1 },
      durability: "synced",
    })),
  };
}

function artifactService(answer: Answer, upload: Uploaded): ArtifactServiceServer {
  const content: StoredContent = {
    id: "c1",
    artifact: "a1",
    message: resultMessage("c1"),
    embedded: true,
    storedTime: { seconds: 1_700_000_001, nanos: 0 },
  };
  return {
    getOrCreateArtifact: answer("getOrCreateArtifact", ({ stream, sourceId }) => ({
      artifact: { id: "a1", stream, sourceId },
    })),
    addText: answer("addText", ({ stream, sourceId, processImmediately }) => ({
      contentId: "c1",
      artifact: { id: "a1", stream, sourceId },
      position: { source: "unary", offset: 1 },
      content: processImmediately ? content : undefined,
    })),
    addImage: upload("addImage", ({ stream, sourceId }) => ({
      contentId: "c2",
      artifact: { id: "a1", stream, sourceId },
      position: { source: "unary", offset: 2 },
      content: undefined,
    })),
    getContent: answer("getContent", () => ({ content })),
    listArtifacts: answer("listArtifacts", ({ stream, pageToken }) => ({
      artifacts: [{ id: pageToken === "" ? "a1" : "a2", stream, sourceId: "s1" }],
      nextPageToken: pageToken === "" ? "more" : "",
    })),
    listContents: answer("listContents", ({ pageToken }) => ({
      contents: [{ ...content, id: pageToken === "" ? "c1" : "c2" }],
      nextPageToken: pageToken === "" ? "more" : "",
    })),
    deleteContent: answer("deleteContent", () => ({ deleted: true })),
    deleteArtifact: answer("deleteArtifact", () => ({ deleted: 1, more: false })),
    analyzeSentiment: answer("analyzeSentiment", () => ({
      sentiment: { label: "positive", score: 0.5, model: "test" },
      stored: true,
    })),
  };
}

function streamService({ state }: Served, answer: Answer): StreamServiceServer {
  const find = (name: string): Stream => {
    const stream = state.streams.get(name);
    if (stream === undefined) throw refusal(status.NOT_FOUND, `there is no stream ${name}`);
    return stream;
  };
  const put = (stream: Stream | undefined): Stream => {
    const kept = { ...Stream.create(stream), createdMs: 1_700_000_000_000 };
    if (kept.state !== StreamState.STREAM_STATE_PAUSED) kept.state = StreamState.STREAM_STATE_ACTIVE;
    state.streams.set(kept.name, kept);
    return kept;
  };
  const setState = (name: string, streamState: StreamState) => ({
    stream: put({ ...find(name), state: streamState }),
  });
  return {
    createStream: answer("createStream", ({ stream }) => {
      const there = state.streams.get(stream?.name ?? "");
      if (there === undefined) return { stream: put(stream), created: true };
      const wanted = { ...Stream.create(stream), state: there.state, createdMs: there.createdMs };
      const same = Buffer.compare(Stream.encode(wanted).finish(), Stream.encode(there).finish()) === 0;
      if (!same) throw refusal(status.ALREADY_EXISTS, "a stream of that name has other settings");
      return { stream: there, created: false };
    }),
    getStream: answer("getStream", ({ name }) => ({ stream: find(name) })),
    listStreams: answer("listStreams", ({ pageToken }) => {
      const names = [...state.streams.keys()].sort().filter((name) => name > pageToken);
      const [first = "", second] = names;
      const streams = first === "" ? [] : [find(first)];
      return { streams, nextPageToken: second === undefined ? "" : first };
    }),
    updateStream: answer("updateStream", ({ stream }) => {
      find(stream?.name ?? "");
      return { stream: put(stream) };
    }),
    deleteStream: answer("deleteStream", ({ name }) => {
      state.streams.delete(find(name).name);
      return {};
    }),
    pauseStream: answer("pauseStream", ({ name }) => setState(name, StreamState.STREAM_STATE_PAUSED)),
    resumeStream: answer("resumeStream", ({ name }) => setState(name, StreamState.STREAM_STATE_ACTIVE)),
    getStreamStatus: answer("getStreamStatus", ({ name }) => ({
      stream: find(name),
      conservation: { in: 5, out: 3, dead: 1, dropped: 0, inFlight: 1, droppedByReason: {}, balanced: true },
      stages: [{ stage: "privacy", batches: 2 }],
      sources: [{ source: "s", position: 9, messages: 5, lastError: "" }],
      sinks: [{ sink: "results", messages: 3 }],
      durability: "synced",
      dataPath: "MAPPED",
      buffer: { liveBytes: 7, quotaBytes: 9, waiting: ["gateway"], lags: [{ sink: "store", bytes: 7 }] },
      groups: [],
    })),
  };
}

const reportIn = (stream: string): SourceReport =>
  SourceReport.fromPartial({
    id: "source-1",
    stream,
    state: SourceState.SOURCE_STATE_FAILED,
    files: 2,
    lagBytes: 512,
    lastError: "permission denied",
    timeMs: 1_700_000_000_000,
    holder: "ingestion-0",
  });
