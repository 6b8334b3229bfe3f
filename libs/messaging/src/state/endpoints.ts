import { TapResponse } from "@millrace/proto/tap";
import {
  AnonymizeRequest,
  AnonymizeResponse,
  CleanRequest,
  CleanResponse,
  DiscardLettersResponse,
  EmbedRequest,
  EmbedResponse,
  EraseRequest,
  EraseResponse,
  FindRequest,
  FindResponse,
  LettersRequest,
  ListLettersRequest,
  ListLettersResponse,
  ReadingRequest,
  ReadingResponse,
  RedriveLettersResponse,
  RedriveRequest,
  RedriveResponse,
  ReplaceVectorRequest,
  ReplaceVectorResponse,
  ShowBatchRequest,
  ShowLetterRequest,
  ShowLetterResponse,
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

/** What a tap shows of a batch whose body lies in a segment: gateway has no way to those. */
export const showBatchEndpoint: Endpoint<ShowBatchRequest, TapResponse> = {
  service: "output",
  verb: "show-batch",
  request: ShowBatchRequest,
  response: TapResponse,
};

/** Privacy keeps the letters of the raw side, output those of the clean one. */
export type LetterKeeper = "privacy" | "output";

export const listLettersEndpoint = (
  keeper: LetterKeeper,
): Endpoint<ListLettersRequest, ListLettersResponse> => ({
  service: keeper,
  verb: "dead-letters.list",
  request: ListLettersRequest,
  response: ListLettersResponse,
});

export const showLetterEndpoint = (
  keeper: LetterKeeper,
): Endpoint<ShowLetterRequest, ShowLetterResponse> => ({
  service: keeper,
  verb: "dead-letters.show",
  request: ShowLetterRequest,
  response: ShowLetterResponse,
});

export const redriveLettersEndpoint = (
  keeper: LetterKeeper,
): Endpoint<LettersRequest, RedriveLettersResponse> => ({
  service: keeper,
  verb: "dead-letters.redrive",
  request: LettersRequest,
  response: RedriveLettersResponse,
});

export const discardLettersEndpoint = (
  keeper: LetterKeeper,
): Endpoint<LettersRequest, DiscardLettersResponse> => ({
  service: keeper,
  verb: "dead-letters.discard",
  request: LettersRequest,
  response: DiscardLettersResponse,
});

/** One letter, to the stage that wrote it. */
export const redriveEndpoint = (
  service: "inference" | "semantic-search",
): Endpoint<RedriveRequest, RedriveResponse> => ({
  service,
  verb: "redrive",
  request: RedriveRequest,
  response: RedriveResponse,
});
