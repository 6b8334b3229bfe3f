import { CodedError } from "@millrace/errors";
import {
  type UploadContentRequest,
  type UploadContentRequest_Open as Open,
  type UploadContentResponse,
  UploadKind,
} from "@millrace/proto/message";
import { laneOf } from "../../publish/outgoing-row.js";
import { checkActive } from "../../publish/publisher.js";
import { receiveUpload, type UploadParts } from "../../publish/receive-upload.js";
import type { UnaryCall } from "../../rpc/unary-call.js";
import type { EachRequest } from "../../rpc/upload-call.js";
import { requireStream } from "../../stream/stream-name.js";
import { type PublishParts, publishWithin } from "./publish-message.js";

export interface UploadContentParts extends PublishParts, UploadParts {}

/** One content that is too large for a request, put together here and published like any other. */
export const uploadContent =
  (parts: UploadContentParts) =>
  async (each: EachRequest<UploadContentRequest>, call: UnaryCall): Promise<UploadContentResponse> => {
    const { tenant, find } = parts;
    const { begun, content } = await receiveUpload(parts, each, async (open: Open) => {
      const stream = await requireStream(find, { tenant, name: open.stream }, "open.stream");
      checkActive(stream);
      const lane = laneOf(open.priority, stream);
      return {
        kind: kindOf(open.kind),
        contentBytes: open.contentBytes,
        holder: { tenant, stream: stream.name, lane },
        open,
        stream,
      };
    });
    const { kind, open, stream } = begun;
    const { sourceId, attributes, eventTime, priority, imageFeatures, idempotencyKey: key } = open;
    const message = {
      content: { $case: kind, value: content },
      sourceId,
      attributes,
      eventTime,
      priority,
      skipEmbedding: false,
      imageFeatures,
    };
    const published = await publishWithin(parts, call, {
      to: { tenant, stream },
      message,
      key,
      cameBy: "upload",
    });
    const { messageId, source, position, durability } = published;
    return { messageId, position: { source, offset: position }, durability };
  };

function kindOf(kind: UploadKind): "image" | "data" {
  if (kind === UploadKind.UPLOAD_KIND_IMAGE) return "image";
  if (kind === UploadKind.UPLOAD_KIND_DATA) return "data";
  throw new CodedError("invalid_argument", "upload: it is not said what it is", {
    field: "open.kind",
    remedy: "Use UPLOAD_KIND_IMAGE or UPLOAD_KIND_DATA; texts go by Publish.",
  });
}
