import { ArtifactServiceService, type StoredContent as WireContent } from "@millrace/proto/artifact";
import type { Position } from "../publish/publisher.js";
import { type StoredMessage, toDate, toStored } from "../receive/received-message.js";
import type { Channel } from "../rpc/channel.js";
import { MillraceError } from "../rpc/millrace-error.js";
import { checkKeys, checkText } from "../units/checks.js";
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

/** One text of an artifact, redacted, with what is known of it. */
export interface StoredContent {
  id: string;
  artifact: string;
  message: StoredMessage;
  embedded: boolean;
  storedTime: Date | undefined;
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
  getContent(id: string): Promise<StoredContent>;
  /** Contents of this artifact that mean the same or nearly so, best first. */
  searchSimilar(query: string, options?: ArtifactSearchOptions): Promise<Hit[]>;
}

const addTextKeys = ["processImmediately", "generateEmbeddings", "idempotencyKey", "signal"] as const;
const searchKeys = ["maxResults", "minScore", "after", "signal"] as const;

export interface ArtifactName {
  stream: string;
  sourceId: string;
  /** Awaited before a text is added, so that handlers hear of it. */
  ready: () => Promise<void>;
}

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
    async getContent(contentId) {
      checkText(contentId, "id");
      const request = { stream, artifact: id, contentId };
      const call = { attempted: `get content ${contentId}` };
      const { content } = await channel.unary(ArtifactServiceService.getContent, request, call);
      if (content === undefined) throw new MillraceError("not_found", `content ${contentId} is not there`);
      return toContent(content);
    },
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

function toContent({ id, artifact, message, embedded, storedTime }: WireContent): StoredContent {
  if (message === undefined) throw new MillraceError("internal", `content ${id} came without its message`);
  return { id, artifact, message: toStored(message), embedded, storedTime: toDate(storedTime) };
}
