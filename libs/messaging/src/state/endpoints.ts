import {
  AnonymizeRequest,
  AnonymizeResponse,
  CleanRequest,
  CleanResponse,
  EmbedRequest,
  EmbedResponse,
  EraseRequest,
  EraseResponse,
  FindRequest,
  FindResponse,
  ReadingRequest,
  ReadingResponse,
  ReplaceVectorRequest,
  ReplaceVectorResponse,
} from "@millrace/proto/work";
import type { Endpoint } from "./requests.js";

export const cleanEndpoint: Endpoint<CleanRequest, CleanResponse> = {
  service: "privacy",
  verb: "clean",
  request: CleanRequest,
  response: CleanResponse,
};

/** Stages that read bodies through maps; in the order in which a message passes them. */
export const readingStages = ["privacy", "output"] as const;
export type ReadingStage = (typeof readingStages)[number];

export const readingEndpoint = (stage: ReadingStage): Endpoint<ReadingRequest, ReadingResponse> => ({
  service: stage,
  verb: "reading",
  request: ReadingRequest,
  response: ReadingResponse,
});

export const embedEndpoint: Endpoint<EmbedRequest, EmbedResponse> = {
  service: "inference",
  verb: "embed",
  request: EmbedRequest,
  response: EmbedResponse,
};

export const findEndpoint: Endpoint<FindRequest, FindResponse> = {
  service: "semantic-search",
  verb: "find",
  request: FindRequest,
  response: FindResponse,
};

/** Contents are to go, from CONTENT and from the index. */
export const eraseEndpoint: Endpoint<EraseRequest, EraseResponse> = {
  service: "output",
  verb: "erase",
  request: EraseRequest,
  response: EraseResponse,
};

export const replaceVectorEndpoint: Endpoint<ReplaceVectorRequest, ReplaceVectorResponse> = {
  service: "semantic-search",
  verb: "replace",
  request: ReplaceVectorRequest,
  response: ReplaceVectorResponse,
};

/** Contents are to be cleaned by every detector, where CONTENT, RESULT and the index hold them. */
export const anonymizeEndpoint: Endpoint<AnonymizeRequest, AnonymizeResponse> = {
  service: "output",
  verb: "anonymize",
  request: AnonymizeRequest,
  response: AnonymizeResponse,
};
