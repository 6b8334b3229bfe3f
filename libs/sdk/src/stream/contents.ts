import { ArtifactServiceService, type StoredContent as WireContent } from "@millrace/proto/artifact";
import { type StoredMessage, toDate, toStored } from "../receive/received-message.js";
import type { Channel } from "../rpc/channel.js";
import { MillraceError } from "../rpc/millrace-error.js";
import { checkCount, checkKeys, checkText } from "../units/checks.js";

/** One content of an artifact, redacted, with what is known of it. */
export interface StoredContent {
  id: string;
  artifact: string;
  message: StoredMessage;
  embedded: boolean;
  storedTime: Date | undefined;
}

export interface ArtifactName {
  stream: string;
  sourceId: string;
  /** Awaited before a content is added, so that handlers hear of it. */
  ready: () => Promise<void>;
}

export interface ListOptions {
  /** Contents fetched at once, at most 500. Default 50. */
  pageSize?: number;
  signal?: AbortSignal;
}

/** An artifact of a list; `getOrCreateArtifact` takes its source id. */
export interface ArtifactInfo {
  id: string;
  stream: string;
  /** As privacy let it pass. */
  sourceId: string;
}

export interface ListArtifactsOptions {
  /** Artifacts fetched at once, at most 1000. Default 100. */
  pageSize?: number;
  signal?: AbortSignal;
}

export interface ContentSentiment {
  label: "negative" | "neutral" | "positive";
  /** -1 to 1. */
  score: number;
  model: string;
  /** False where it was found for this call: the stream asks for no sentiment. */
  stored: boolean;
}

interface ArtifactOf {
  stream: string;
  artifact: string;
}

interface ContentOf extends ArtifactOf {
  contentId: string;
}

const labels = ["negative", "neutral", "positive"] as const;

export async function* listContents(
  channel: Channel,
  of: ArtifactOf,
  options: ListOptions,
): AsyncGenerator<StoredContent, void, undefined> {
  checkKeys(options, ["pageSize", "signal"], "");
  const { pageSize = 50, signal } = options;
  checkCount(pageSize, "pageSize", [1, 500]);
  let pageToken = "";
  do {
    const page = await channel.unary(
      ArtifactServiceService.listContents,
      { ...of, pageSize, pageToken },
      { attempted: "list contents", ...(signal !== undefined && { signal }) },
    );
    yield* page.contents.map(toContent);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}

export async function* listArtifacts(
  channel: Channel,
  stream: string,
  options: ListArtifactsOptions,
): AsyncGenerator<ArtifactInfo, void, undefined> {
  checkKeys(options, ["pageSize", "signal"], "");
  const { pageSize = 100, signal } = options;
  checkCount(pageSize, "pageSize", [1, 1_000]);
  let pageToken = "";
  do {
    const page = await channel.unary(
      ArtifactServiceService.listArtifacts,
      { stream, pageSize, pageToken },
      { attempted: `list the artifacts of ${stream}`, ...(signal !== undefined && { signal }) },
    );
    yield* page.artifacts;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}

export async function getContent(channel: Channel, of: ContentOf): Promise<StoredContent> {
  checkText(of.contentId, "id");
  const call = { attempted: `get content ${of.contentId}` };
  const { content } = await channel.unary(ArtifactServiceService.getContent, of, call);
  if (content === undefined) throw new MillraceError("not_found", `content ${of.contentId} is not there`);
  return toContent(content);
}

export async function deleteContent(channel: Channel, of: ContentOf): Promise<boolean> {
  checkText(of.contentId, "id");
  const call = { attempted: `delete content ${of.contentId}` };
  const { deleted } = await channel.unary(ArtifactServiceService.deleteContent, of, call);
  return deleted;
}

/** A thousand a call, until none is left. */
export async function clearArtifact(
  channel: Channel,
  of: ArtifactOf,
  { signal }: { signal?: AbortSignal },
): Promise<number> {
  const call = { attempted: "clear an artifact", ...(signal !== undefined && { signal }) };
  let deleted = 0;
  for (let more = true; more; ) {
    const answer = await channel.unary(ArtifactServiceService.deleteArtifact, of, call);
    deleted += answer.deleted;
    more = answer.more;
  }
  return deleted;
}

export async function analyzeSentiment(channel: Channel, of: ContentOf): Promise<ContentSentiment> {
  checkText(of.contentId, "id");
  const call = { attempted: `analyse the sentiment of content ${of.contentId}` };
  const { sentiment, stored } = await channel.unary(ArtifactServiceService.analyzeSentiment, of, call);
  const label = labels.find((known) => known === sentiment?.label);
  if (sentiment === undefined || label === undefined) {
    throw new MillraceError("internal", "the answer has no sentiment that this version knows");
  }
  return { label, score: sentiment.score, model: sentiment.model, stored };
}

export function toContent({ id, artifact, message, embedded, storedTime }: WireContent): StoredContent {
  if (message === undefined) throw new MillraceError("internal", `content ${id} came without its message`);
  return { id, artifact, message: toStored(message), embedded, storedTime: toDate(storedTime) };
}
