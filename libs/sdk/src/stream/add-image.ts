import { ArtifactServiceService } from "@millrace/proto/artifact";
import type { DetectedObject } from "@millrace/proto/message";
import { type ImageFeatures, toImageFeatures } from "../publish/image-features.js";
import type { Position } from "../publish/publisher.js";
import type { Channel } from "../rpc/channel.js";
import { invalidArgument, MillraceError } from "../rpc/millrace-error.js";
import { framesOf } from "../rpc/upload-once.js";
import { checkBoolean, checkKeys, checkText } from "../units/checks.js";
import { type ArtifactName, type StoredContent, toContent } from "./contents.js";

export interface AddImageOptions {
  /** Default: as the stream says. */
  features?: ImageFeatures;
  /** Goes ahead of batch work, and the answer waits for the analyses. Default false. */
  processImmediately?: boolean;
  /** The same key again adds nothing; remembered for 10 minutes. Default: one of the client's own. */
  idempotencyKey?: string;
  signal?: AbortSignal;
}

export interface AddedImage {
  /** The content's id. */
  id: string;
  position: Position;
  /** Redacted and analysed; present where `processImmediately` was asked for. */
  content: StoredContent | undefined;
}

const keys = ["features", "processImmediately", "idempotencyKey", "signal"] as const;

/** JPEG, PNG or WebP, 8 MiB at most. */
export async function addImage(
  channel: Channel,
  { stream, sourceId, ready }: ArtifactName,
  { image, options }: { image: Uint8Array; options: AddImageOptions },
): Promise<AddedImage> {
  const given: unknown = image;
  if (!(given instanceof Uint8Array)) {
    throw invalidArgument("data", "is no Uint8Array", "Give the bytes of a JPEG, PNG or WebP file.");
  }
  checkKeys(options, keys, "");
  const features = toImageFeatures(options.features, "features");
  const { processImmediately = false } = options;
  checkBoolean(processImmediately, "processImmediately");
  if (options.idempotencyKey !== undefined) checkText(options.idempotencyKey, "idempotencyKey");
  await ready();
  const idempotencyKey = options.idempotencyKey ?? (channel.idempotency ? channel.environment.newId() : "");
  const open = {
    stream,
    sourceId,
    contentBytes: image.length,
    processImmediately,
    features,
    idempotencyKey,
  };
  const answer = await channel.upload(ArtifactServiceService.addImage, () => framesOf(open, image), {
    attempted: `add an image to ${stream}`,
    repeatable: idempotencyKey !== "",
    ...(options.signal !== undefined && { signal: options.signal }),
  });
  return {
    id: answer.contentId,
    position: answer.position ?? { source: "", offset: 0 },
    content: answer.content && toContent(answer.content),
  };
}

/** How often a content is looked for that is on its way. */
const pollMs = { first: 20, max: 250 };

/**
 * What was found in an image, once it is stored: it may have been added a moment ago. Errors: `not_found`
 * after the client's deadline.
 */
export async function getDetectedObjects(
  { environment, deadlineMs }: Pick<Channel, "environment" | "deadlineMs">,
  getContent: () => Promise<StoredContent>,
): Promise<readonly DetectedObject[]> {
  const endMs = environment.now() + deadlineMs;
  for (let waitMs = pollMs.first; ; waitMs = Math.min(pollMs.max, 2 * waitMs)) {
    try {
      const { id, message } = await getContent();
      if (message.kind === "image") return message.objects;
      const remedy = "Give the id of an image.";
      throw new MillraceError("failed_precondition", `content ${id} is no image`, { field: "id", remedy });
    } catch (caught) {
      const error = MillraceError.from(caught);
      if (error.code !== "not_found" || environment.now() + waitMs >= endMs) throw error;
      await environment.sleep(waitMs);
    }
  }
}
