export { connect, type ConnectOptions, type MillraceClient } from "./connect.js";
export type { BatchHandle, BatchMessage, BatchOptions } from "./consume/batch-handler.js";
export type { ConsumedMessage, ConsumedMessages } from "./consume/consume-messages.js";
export type { DerivedCalls, QueueOptions } from "./consume/derived.js";
export type { GroupOptions } from "./consume/group-settings.js";
export type { HandledMessage, HandledOf } from "./consume/handled-message.js";
export type { HandleOf, MessageHandlers } from "./consume/message-handlers.js";
export { BatchError, PermanentError, RetryLater } from "./consume/outcome.js";
export type { WorkerOptions } from "./consume/worker-handler.js";
export type { TlsOptions } from "./rpc/tls.js";
export {
  type Chunk,
  type MappedFile,
  mmapFile,
  type MmapOptions,
} from "./large-file/mapped-file.js";
export type { LargeFileOptions } from "./large-file/find-large-files.js";
export type { ChunkOptions } from "./large-file/part.js";
export type { MessageFields, OutgoingMessage } from "./publish/outgoing.js";
export type { DetectedObject, Finding, Scene, Sentiment } from "@millrace/proto/message";
export type { ImageFeatures } from "./publish/image-features.js";
export { type Published, PublishRefused } from "./publish/publish-all.js";
export type { Position } from "./publish/publisher.js";
export type {
  DataMessage,
  ImageMessage,
  ReceivedMessage,
  StoredMessage,
  TextMessage,
} from "./receive/received-message.js";
export type { Handler, HandlerContext, OnError } from "./receive/runner.js";
export type { ContentRef } from "./receive/content-ref.js";
export type {
  AboutMessage,
  EventPayloads,
  EventType,
  FindingCounts,
  StreamEvent,
} from "./receive/event-types.js";
export type { ResultFilter } from "./receive/result-filter.js";
export type { Gap, SubscribeOptions, Subscription } from "./receive/subscription.js";
export type { Logger } from "./rpc/environment.js";
export { MillraceError } from "./rpc/millrace-error.js";
export type {
  AddedText,
  AddTextOptions,
  Artifact,
  ArtifactSearchOptions,
} from "./stream/artifact.js";
export type {
  ArtifactInfo,
  ContentSentiment,
  ListArtifactsOptions,
  ListOptions,
  StoredContent,
} from "./stream/contents.js";
export type { AddedImage, AddImageOptions } from "./stream/add-image.js";
export type { FileSourceOptions } from "./stream/file-source.js";
export type { SourceHandle, SourceStatus } from "./stream/source-handle.js";
export type { KafkaOutput } from "./stream/outputs/kafka-output.js";
export type { CreateOptions, ProcessorOptions, StreamOptions } from "./stream/options.js";
export {
  attachStreamProcessor,
  createStreamProcessor,
  type ProcessorStatus,
  type StreamProcessor,
} from "./stream/processor.js";
export type { AnonymizedContent, AnonymizedText, ContentName, Privacy } from "./stream/privacy.js";
export {
  type FoundIn,
  mergeAndRankResults,
  type RankedHit,
  type RankOptions,
  type ResultList,
} from "./stream/rank.js";
export type {
  ArtifactName,
  ArtifactResult,
  ArtifactsSearchOptions,
  SimilarOptions,
  SimilarTo,
} from "./stream/similar.js";
export type { Hit, SearchOptions, SearchResult } from "./stream/search.js";
export type { ReplayOptions, ReplayProgress } from "./stream/replay.js";
export type { StreamInfo, StreamSettings } from "./stream/settings.js";
export type { GroupStatus } from "./consume/group-status.js";
export type { BufferStatus, Streams, StreamStatus } from "./stream/streams.js";
export type { KafkaSourceOptions } from "./source/kafka-source.js";
export type { SecretValue } from "./source/secret-value.js";
export type { WebsocketSourceOptions } from "./stream/websocket-source.js";
export type {
  HeaderValue,
  TriggerAction,
  TriggerFilter,
  TriggerInfo,
  TriggerSettings,
  TriggerStatusInfo,
} from "./trigger/trigger-settings.js";
export type { TriggerRef, Triggers } from "./trigger/triggers.js";
export { type Duration, parseDuration } from "./units/duration.js";
export { parseSize, type Size } from "./units/size.js";
export type {
  DeadLetter,
  DeadLetterFilter,
  DeadLetters,
  Redriven,
  ShownDeadLetter,
} from "./letters/dead-letters.js";
export type { TapOptions, Tapped } from "./tap/tap.js";
