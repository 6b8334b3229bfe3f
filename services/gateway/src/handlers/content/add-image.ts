import type {
  AddImageRequest,
  AddImageRequest_Open as Open,
  AddImageResponse,
} from "@millrace/proto/artifact";
import { Priority } from "@millrace/proto/message";
import { laneOf } from "../../publish/outgoing-row.js";
import { checkActive } from "../../publish/publisher.js";
import { receiveUpload, type UploadParts } from "../../publish/receive-upload.js";
import type { UnaryCall } from "../../rpc/unary-call.js";
import type { EachRequest } from "../../rpc/upload-call.js";
import { type PublishParts, publishWithin } from "../message/publish-message.js";
import { awaitContent } from "./add-text.js";
import { type ArtifactParts, artifactOf, artifactStream } from "./get-artifact.js";

export interface AddImageParts extends ArtifactParts, PublishParts, UploadParts {}

/** As `addText`, for an image, which comes in frames. */
export const addImage =
  (parts: AddImageParts) =>
  async (each: EachRequest<AddImageRequest>, call: UnaryCall): Promise<AddImageResponse> => {
    const { tenant } = parts;
    const { begun, content: image } = await receiveUpload(parts, each, async (open: Open) => {
      const stream = await artifactStream(parts, open.stream);
      checkActive(stream);
      const artifact = await artifactOf(parts, { stream, sourceId: open.sourceId }, call);
      const priority = open.processImmediately ? Priority.PRIORITY_HIGH : Priority.PRIORITY_UNSPECIFIED;
      const holder = { tenant, stream: stream.name, lane: laneOf(priority, stream) };
      return {
        kind: "image" as const,
        contentBytes: open.contentBytes,
        holder,
        open,
        stream,
        artifact,
        priority,
      };
    });
    const { open, stream, artifact, priority } = begun;
    const message = {
      content: { $case: "image" as const, value: image },
      sourceId: open.sourceId,
      attributes: {},
      eventTime: undefined,
      priority,
      skipEmbedding: false,
      imageFeatures: open.features,
    };
    const published = await publishWithin(parts, call, {
      to: { tenant, stream },
      message,
      key: open.idempotencyKey,
      cameBy: "upload",
    });
    const position = { source: published.source, offset: published.position };
    const contentId = published.messageId;
    const of = { tenant, stream: stream.name, artifact: artifact.id, content: contentId };
    const content = open.processImmediately ? await awaitContent(parts, of, call) : undefined;
    return { contentId, artifact, position, content };
  };
