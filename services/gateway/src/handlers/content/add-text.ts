import { CodedError } from "@millrace/errors";
import { type AddTextRequest, type AddTextResponse, StoredContent } from "@millrace/proto/artifact";
import { Priority } from "@millrace/proto/message";
import type { Stream } from "@millrace/proto/stream";
import type { UnaryCall } from "../../rpc/unary-call.js";
import { type ArtifactParts, artifactOf, artifactStream, type ContentOf } from "./get-artifact.js";
import { type PublishParts, publishWithin } from "../message/publish-message.js";

export interface AddTextParts extends ArtifactParts, PublishParts {}

/** How often a text is looked for that is on its way: soon at first, since most take 20 ms. */
const pollMs = { first: 10, max: 50 };

export const addText =
  (parts: AddTextParts) =>
  async (request: AddTextRequest, call: UnaryCall): Promise<AddTextResponse> => {
    const stream = await artifactStream(parts, request.stream);
    checkEmbeddings(request, stream);
    const artifact = await artifactOf(parts, { stream, sourceId: request.sourceId }, call);
    const message = {
      content: { $case: "text" as const, value: request.text },
      sourceId: request.sourceId,
      attributes: {},
      eventTime: undefined,
      priority: request.processImmediately ? Priority.PRIORITY_HIGH : Priority.PRIORITY_UNSPECIFIED,
      skipEmbedding: request.generateEmbeddings === false,
      imageFeatures: undefined,
    };
    const to = { tenant: parts.tenant, stream };
    const published = await publishWithin(parts, call, { to, message, key: request.idempotencyKey });
    const position = { source: published.source, offset: published.position };
    // A content has the id of the message that it came as.
    const contentId = published.messageId;
    const of = { tenant: parts.tenant, stream: stream.name, artifact: artifact.id, content: contentId };
    const content = request.processImmediately ? await awaitContent(parts, of, call) : undefined;
    return { contentId, artifact, position, content };
  };

/** The content, once it is stored. Errors: `deadline_exceeded`. */
export async function awaitContent(
  parts: Pick<AddTextParts, "readContent" | "sleep">,
  of: ContentOf,
  call: UnaryCall,
): Promise<StoredContent> {
  for (let waitMs = pollMs.first; ; waitMs = Math.min(pollMs.max, waitMs * 1.5)) {
    const found = await parts.readContent(of);
    if (found !== undefined) return StoredContent.decode(found);
    if (call.remainingMs() < 2 * pollMs.max) {
      throw new CodedError(
        "deadline_exceeded",
        `add content: ${of.content} is accepted, but not stored yet`,
        {
          remedy: "Read it with GetContent, or allow more time.",
        },
      );
    }
    await parts.sleep(waitMs, call.signal);
  }
}

function checkEmbeddings({ generateEmbeddings }: AddTextRequest, stream: Stream): void {
  if (generateEmbeddings !== true || stream.enrichments?.embeddings === true) return;
  throw new CodedError("failed_precondition", `add text: stream ${stream.name} makes no embeddings`, {
    field: "generate_embeddings",
    remedy: "Set enrichments.embeddings with UpdateStream, or leave it out.",
  });
}
