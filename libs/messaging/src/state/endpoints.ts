import {
  CleanRequest,
  CleanResponse,
  EmbedRequest,
  EmbedResponse,
  FindRequest,
  FindResponse,
  ReadingRequest,
  ReadingResponse,
} from "@millrace/proto/work";
import type { Endpoint } from "./requests.js";

export const cleanEndpoint: Endpoint<CleanRequest, CleanResponse> = {
  service: "privacy",
  verb: "clean",
  request: CleanRequest,
  response: CleanResponse,
};

export const readingEndpoint: Endpoint<ReadingRequest, ReadingResponse> = {
  service: "privacy",
  verb: "reading",
  request: ReadingRequest,
  response: ReadingResponse,
};

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
