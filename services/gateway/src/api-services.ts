import { ArtifactServiceService } from "@millrace/proto/artifact";
import { DeadLetterServiceService } from "@millrace/proto/deadletter";
import { EventServiceService } from "@millrace/proto/event";
import { GroupServiceService } from "@millrace/proto/group";
import { PrivacyServiceService } from "@millrace/proto/privacy";
import {
  PublishServiceService,
  type SubscribeRequest,
  type SubscribeResponse,
  SubscribeServiceService,
} from "@millrace/proto/message";
import { ReplayServiceService } from "@millrace/proto/replay";
import { SearchServiceService } from "@millrace/proto/search";
import { SourceServiceService } from "@millrace/proto/source";
import { StreamServiceService } from "@millrace/proto/stream";
import { TapServiceService } from "@millrace/proto/tap";
import type { GrpcService } from "@millrace/runtime";
import { type AddImageParts, addImage } from "./handlers/content/add-image.js";
import { type AddTextParts, addText } from "./handlers/content/add-text.js";
import { analyzeSentiment, type AnalyzeParts } from "./handlers/content/analyze-sentiment.js";
import { anonymizeContent, type AnonymizeParts } from "./handlers/privacy/anonymize-content.js";
import { anonymizeText, detectText, type TextParts } from "./handlers/privacy/anonymize-text.js";
import { deleteArtifact, deleteContent, type DeleteParts } from "./handlers/content/delete-content.js";
import { listArtifacts, listContents, type ListParts } from "./handlers/content/list-contents.js";
import { type LetterParts, listDeadLetters } from "./handlers/dead-letter/list-dead-letters.js";
import { getDeadLetter } from "./handlers/dead-letter/get-dead-letter.js";
import { discardDeadLetters, redriveDeadLetters } from "./handlers/dead-letter/redrive-dead-letters.js";
import { type CreateStreamParts, createStream } from "./handlers/stream/create-stream.js";
import { type DeleteStreamParts, deleteStream } from "./handlers/stream/delete-stream.js";
import { getContent, getOrCreateArtifact } from "./handlers/content/get-artifact.js";
import { type ConsumeParts, consumeGroup } from "./handlers/group/consume-group.js";
import { deleteGroup, type GroupParts, listGroups } from "./handlers/group/manage-groups.js";
import { getStatus, type StatusParts } from "./handlers/stream/get-status.js";
import {
  addSource,
  pauseSource,
  removeSource,
  resumeSource,
  type SourceParts,
} from "./handlers/source/manage-sources.js";
import { getSource, listSources, type ReadSourceParts } from "./handlers/source/read-sources.js";
import { publishMessage } from "./handlers/message/publish-message.js";
import { type PublishStreamParts, publishStream } from "./handlers/message/publish-stream.js";
import { uploadContent } from "./handlers/message/upload-content.js";
import { type ReplayParts, replayStream } from "./handlers/message/replay-stream.js";
import { tapStream, type TapParts } from "./handlers/message/tap-stream.js";
import { getStream, listStreams } from "./handlers/stream/read-streams.js";
import { findSimilar, searchArtifacts } from "./handlers/content/find-similar.js";
import { type SearchParts, searchText } from "./handlers/content/search-text.js";
import { type SubscribeParts, subscribeResults } from "./handlers/message/subscribe-results.js";
import {
  pauseStream,
  resumeStream,
  updateStream,
  type UpdateStreamParts,
} from "./handlers/stream/update-stream.js";
import { type WatchParts, watchEvents } from "./handlers/watch-events.js";
import { encodedOnce } from "./rpc/encoded-once.js";
import { serveStream, type StreamServing } from "./rpc/server-stream.js";
import { serveUnary } from "./rpc/unary-call.js";
import { serveUpload } from "./rpc/upload-call.js";
import { type TriggerParts, triggerServices } from "./trigger-services.js";

/** What the handlers are made of. */
export interface Api
  extends AddImageParts,
    AddTextParts,
    AnalyzeParts,
    AnonymizeParts,
    CreateStreamParts,
    DeleteParts,
    DeleteStreamParts,
    LetterParts,
    ListParts,
    ConsumeParts,
    GroupParts,
    PublishStreamParts,
    Omit<ReplayParts, "tailResults" | "resultBounds" | "sleep">,
    SearchParts,
    ReadSourceParts,
    SourceParts,
    StatusParts,
    TapParts,
    TextParts,
    TriggerParts,
    UpdateStreamParts {
  tailResults: SubscribeParts["tail"];
  resultBounds: SubscribeParts["bounds"];
  storedResults: SubscribeParts["stored"];
  feeds: SubscribeParts["feeds"];
  countMissed: SubscribeParts["countMissed"];
  firstResultFrom: SubscribeParts["firstFrom"];
  /** The open calls of Subscribe. */
  subscribers: StreamServing["openCalls"];
  tailEvents: WatchParts["tail"];
  lastEvent: WatchParts["lastSeq"];
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/**
 * Every public RPC and the handler that serves it. A service appears in proto, server and reflection
 * together.
 */
export function apiServices(api: Api): GrpcService[] {
  return [...streamServices(api), ...messageServices(api), ...contentServices(api), ...triggerServices(api)];
}

const streams = "millrace.stream.v1.StreamService";
const sources = "millrace.source.v1.SourceService";
const publish = "millrace.message.v1.PublishService";
const subscribe = "millrace.message.v1.SubscribeService";
const groups = "millrace.group.v1.GroupService";
const replays = "millrace.replay.v1.ReplayService";
const events = "millrace.event.v1.EventService";
const artifacts = "millrace.artifact.v1.ArtifactService";
const privacy = "millrace.privacy.v1.PrivacyService";
const deadLetters = "millrace.deadletter.v1.DeadLetterService";
const taps = "millrace.tap.v1.TapService";
const searches = "millrace.search.v1.SearchService";

function streamServices(api: Api): GrpcService[] {
  return [
    {
      name: streams,
      definition: StreamServiceService,
      implementation: {
        createStream: serveUnary(`${streams}/CreateStream`, api, createStream(api)),
        getStream: serveUnary(`${streams}/GetStream`, api, getStream(api)),
        listStreams: serveUnary(`${streams}/ListStreams`, api, listStreams(api)),
        updateStream: serveUnary(`${streams}/UpdateStream`, api, updateStream(api)),
        deleteStream: serveUnary(`${streams}/DeleteStream`, api, deleteStream(api)),
        pauseStream: serveUnary(`${streams}/PauseStream`, api, pauseStream(api)),
        resumeStream: serveUnary(`${streams}/ResumeStream`, api, resumeStream(api)),
        getStreamStatus: serveUnary(`${streams}/GetStreamStatus`, api, getStatus(api)),
      },
    },
    {
      name: sources,
      definition: SourceServiceService,
      implementation: {
        addSource: serveUnary(`${sources}/AddSource`, api, addSource(api)),
        removeSource: serveUnary(`${sources}/RemoveSource`, api, removeSource(api)),
        listSources: serveUnary(`${sources}/ListSources`, api, listSources(api)),
        getSource: serveUnary(`${sources}/GetSource`, api, getSource(api)),
        pauseSource: serveUnary(`${sources}/PauseSource`, api, pauseSource(api)),
        resumeSource: serveUnary(`${sources}/ResumeSource`, api, resumeSource(api)),
      },
    },
  ];
}

function messageServices(api: Api): GrpcService[] {
  const results = {
    ...api,
    tail: api.tailResults,
    bounds: api.resultBounds,
    stored: api.storedResults,
    firstFrom: api.firstResultFrom,
  };
  const watched = { ...api, tail: api.tailEvents, lastSeq: api.lastEvent };
  return [
    {
      name: publish,
      definition: PublishServiceService,
      implementation: {
        publish: serveUnary(`${publish}/Publish`, api, publishMessage(api)),
        publishStream: publishStream(api),
        uploadContent: serveUpload(`${publish}/UploadContent`, api, uploadContent(api)),
      },
    },
    {
      name: subscribe,
      definition: {
        ...SubscribeServiceService,
        subscribe: encodedOnce<SubscribeRequest, SubscribeResponse>(SubscribeServiceService.subscribe),
      },
      implementation: {
        subscribe: serveStream(
          `${subscribe}/Subscribe`,
          { ...api, openCalls: api.subscribers },
          subscribeResults(results),
        ),
      },
    },
    {
      name: groups,
      definition: GroupServiceService,
      implementation: {
        consume: consumeGroup(api),
        listGroups: serveUnary(`${groups}/ListGroups`, api, listGroups(api)),
        deleteGroup: serveUnary(`${groups}/DeleteGroup`, api, deleteGroup(api)),
      },
    },
    {
      name: replays,
      definition: ReplayServiceService,
      implementation: { replay: serveStream(`${replays}/Replay`, api, replayStream(api)) },
    },
    {
      name: taps,
      definition: TapServiceService,
      implementation: { tap: serveStream(`${taps}/Tap`, api, tapStream(api)) },
    },
    {
      name: events,
      definition: EventServiceService,
      implementation: { watchEvents: serveStream(`${events}/WatchEvents`, api, watchEvents(watched)) },
    },
  ];
}

function contentServices(api: Api): GrpcService[] {
  return [
    {
      name: artifacts,
      definition: ArtifactServiceService,
      implementation: {
        getOrCreateArtifact: serveUnary(`${artifacts}/GetOrCreateArtifact`, api, getOrCreateArtifact(api)),
        addText: serveUnary(`${artifacts}/AddText`, api, addText(api)),
        addImage: serveUpload(`${artifacts}/AddImage`, api, addImage(api)),
        getContent: serveUnary(`${artifacts}/GetContent`, api, getContent(api)),
        listArtifacts: serveUnary(`${artifacts}/ListArtifacts`, api, listArtifacts(api)),
        listContents: serveUnary(`${artifacts}/ListContents`, api, listContents(api)),
        deleteContent: serveUnary(`${artifacts}/DeleteContent`, api, deleteContent(api)),
        deleteArtifact: serveUnary(`${artifacts}/DeleteArtifact`, api, deleteArtifact(api)),
        analyzeSentiment: serveUnary(`${artifacts}/AnalyzeSentiment`, api, analyzeSentiment(api)),
      },
    },
    {
      name: privacy,
      definition: PrivacyServiceService,
      implementation: {
        detectText: serveUnary(`${privacy}/DetectText`, api, detectText(api)),
        anonymizeText: serveUnary(`${privacy}/AnonymizeText`, api, anonymizeText(api)),
        anonymizeContent: serveUnary(`${privacy}/AnonymizeContent`, api, anonymizeContent(api)),
      },
    },
    {
      name: deadLetters,
      definition: DeadLetterServiceService,
      implementation: {
        listDeadLetters: serveUnary(`${deadLetters}/ListDeadLetters`, api, listDeadLetters(api)),
        getDeadLetter: serveUnary(`${deadLetters}/GetDeadLetter`, api, getDeadLetter(api)),
        redriveDeadLetters: serveUnary(`${deadLetters}/RedriveDeadLetters`, api, redriveDeadLetters(api)),
        discardDeadLetters: serveUnary(`${deadLetters}/DiscardDeadLetters`, api, discardDeadLetters(api)),
      },
    },
    {
      name: searches,
      definition: SearchServiceService,
      implementation: {
        search: serveUnary(`${searches}/Search`, api, searchText(api)),
        findSimilar: serveUnary(`${searches}/FindSimilar`, api, findSimilar(api)),
        searchArtifacts: serveUnary(`${searches}/SearchArtifacts`, api, searchArtifacts(api)),
      },
    },
  ];
}
