import { ArtifactServiceService } from "@millrace/proto/artifact";
import type { DetectedObject } from "@millrace/proto/message";
import type { Position } from "../publish/publisher.js";
import type { Channel } from "../rpc/channel.js";
import { checkKeys, checkText } from "../units/checks.js";
import { addImage, type AddedImage, type AddImageOptions, getDetectedObjects } from "./add-image.js";
import {
  analyzeSentiment,
  type ArtifactName,
  clearArtifact,
  type ContentSentiment,
  deleteContent,
  getContent,
  listContents,
  type ListOptions,
  type StoredContent,
  toContent,
} from "./contents.js";
import { type Hit, search } from "./search.js";

export interface AddTextOptions {
  /** Goes ahead of batch work, and the answer waits for the analyses. Default false. */
  processImmediately?: boolean;
  /** Default: as the stream says. */
  generateEmbeddings?: boolean;
  /** The same key again adds nothing; remembered for 10 minutes. Default: one of the client's own. */
  idempotencyKey?: string;
  signal?: AbortSignal;
}

export interface AddedText {
  /** The content's id. */
  id: string;
  position: Position;
  /** Redacted and analysed; present where `processImmediately` was asked for. */
  content: StoredContent | undefined;
}

export interface ArtifactSearchOptions {
  /** Default 10, at most 1000. */
  maxResults?: number;
  /** Cosine similarity, −1 to 1. */
  minScore?: number;
  /** Waits until what was published up to here is searchable. */
  after?: Position;
  signal?: AbortSignal;
}

/** The durable collection of contents of one source id in one stream. */
export interface Artifact {
  readonly id: string;
  readonly stream: string;
  /** As privacy let it pass: a source id with personal data in it becomes a pseudonym. */
  readonly sourceId: string;
  addText(content: string, options?: AddTextOptions): Promise<AddedText>;
  /** A JPEG, PNG or WebP of at most 8 MiB. */
  addImage(data: Uint8Array, options?: AddImageOptions): Promise<AddedImage>;
  /** Things in an image, the likeliest first; waits until it is stored, if it was added a moment ago. */
  getDetectedObjects(id: string): Promise<readonly DetectedObject[]>;
  /** Its contents in the order in which they were stored, page by page as they are read. */
  list(options?: ListOptions): AsyncIterable<StoredContent>;
  get(id: string): Promise<StoredContent>;
  /** The same as `get`. */
  getContent(id: string): Promise<StoredContent>;
  /**
   * Removes a content from artifact and index, and overwrites its bytes there; false where it was not there.
   * Results keep it until their age or bytes run out, stored files for good.
   */
  delete(id: string): Promise<boolean>;
  /** Deletes all that it holds now, and says how many that were. */
  clear(options?: { signal?: AbortSignal }): Promise<number>;
  /** As stored with the content; where its stream asks for no sentiment, it is found now and not kept. */
  analyzeSentiment(id: string): Promise<ContentSentiment>;
  /** Contents of this artifact that mean the same or nearly so, best first. */
  searchSimilar(query: string, options?: ArtifactSearchOptions): Promise<Hit[]>;
}

const addTextKeys = ["processImmediately", "generateEmbeddings", "idempotencyKey", "signal"] as const;
const searchKeys = ["maxResults", "minScore", "after", "signal"] as const;

export async function getOrCreateArtifact(channel: Channel, name: ArtifactName): Promise<Artifact> {
  const { stream, sourceId } = name;
  checkText(sourceId, "sourceId");
  const attempted = `get or create an artifact of ${stream}`;
  const answer = await channel.unary(
    ArtifactServiceService.getOrCreateArtifact,
    { stream, sourceId },
    { attempted },
  );
  const id = answer.artifact?.id ?? "";
  return {
    id,
    stream,
    sourceId: answer.artifact?.sourceId ?? sourceId,
    addText: (content, options = {}) => addText(channel, name, { content, options }),
    addImage: (image, options = {}) => addImage(channel, name, { image, options }),
    getDetectedObjects: (contentId) =>
      getDetectedObjects(channel, () => getContent(channel, { stream, artifact: id, contentId })),
    list: (options = {}) => listContents(channel, { stream, artifact: id }, options),
    get: (contentId) => getContent(channel, { stream, artifact: id, contentId }),
    getContent: (contentId) => getContent(channel, { stream, artifact: id, contentId }),
    delete: (contentId) => deleteContent(channel, { stream, artifact: id, contentId }),
    clear: (options = {}) => clearArtifact(channel, { stream, artifact: id }, options),
    analyzeSentiment: (contentId) => analyzeSentiment(channel, { stream, artifact: id, contentId }),
    async searchSimilar(query, options = {}) {
      checkKeys(options, searchKeys, "");
      const { after, ...rest } = options;
      const place = after === undefined ? {} : { after: { stream, position: after } };
      const { hits } = await search(channel, query, {
        ...rest,
        ...place,
        streams: [stream],
        artifacts: [id],
      });
      return hits;
    },
  };
}

interface AddText {
  content: string;
  options: AddTextOptions;
}

async function addText(
  channel: Channel,
  { stream, sourceId, ready }: ArtifactName,
  { content, options }: AddText,
): Promise<AddedText> {
  checkText(content, "content");
  checkKeys(options, addTextKeys, "");
  await ready();
  const idempotencyKey = options.idempotencyKey ?? (channel.idempotency ? channel.environment.newId() : "");
  const request = {
    stream,
    sourceId,
    text: content,
    processImmediately: options.processImmediately ?? false,
    ...(options.generateEmbeddings !== undefined && { generateEmbeddings: options.generateEmbeddings }),
    idempotencyKey,
  };
  const answer = await channel.unary(ArtifactServiceService.addText, request, {
    attempted: `add a text to ${stream}`,
    repeatable: idempotencyKey !== "",
    ...(options.signal !== undefined && { signal: options.signal }),
  });
  return {
    id: answer.contentId,
    position: answer.position ?? { source: "", offset: 0 },
    content: answer.content && toContent(answer.content),
  };
}
