import { PublishServiceService, UploadKind } from "@millrace/proto/message";
import type { Channel } from "../rpc/channel.js";
import { MillraceError } from "../rpc/millrace-error.js";
import { framesOf } from "../rpc/upload-once.js";
import type { LanePublishers } from "./lane-publishers.js";
import type { Outgoing } from "./outgoing.js";
import type { Position } from "./publisher.js";

export interface Published {
  position: Position;
  /** Present where the message had an idempotency key, or went by an upload, being larger than 768 KiB. */
  messageId?: string;
}

/**
 * Some messages of an array were refused; the others are durable. Code, field and remedy are the first one's.
 */
export class PublishRefused extends MillraceError {
  /** By index in the array. */
  readonly refused: ReadonlyMap<number, MillraceError>;
  /** By index in the array; undefined where refused. */
  readonly published: readonly (Published | undefined)[];

  constructor(refused: ReadonlyMap<number, MillraceError>, published: readonly (Published | undefined)[]) {
    const [first] = refused;
    const [index, error] = first ?? [0, new MillraceError("unknown", "no reason is known")];
    super(error.code, `${refused.size} of ${published.length} messages: ${error.message}`, {
      field: `messages[${index}]${error.field === undefined ? "" : `.${error.field}`}`,
      ...(error.remedy !== undefined && { remedy: error.remedy }),
      ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
      cause: error,
    });
    this.name = "PublishRefused";
    this.refused = refused;
    this.published = published;
  }
}

export interface PublishTarget {
  channel: Channel;
  stream: string;
  publishers: LanePublishers;
}

/** One message: by the publish stream, or by a call of its own where it has an idempotency key. */
export async function publishOne(target: PublishTarget, outgoing: Outgoing): Promise<Published> {
  const { channel, stream, publishers } = target;
  const { message, idempotencyKey, isLarge } = outgoing;
  if (isLarge) return uploadOne(target, outgoing);
  if (idempotencyKey === undefined) return { position: await publishers.of(outgoing).publish(outgoing) };
  const request = { ...message, stream, idempotencyKey };
  const attempted = `publish to ${stream}`;
  const { messageId, position } = await channel.unary(PublishServiceService.publish, request, { attempted });
  return { messageId, position: position ?? { source: "", offset: 0 } };
}

/** What is too large for the publish stream, in frames. A key of our own lets it be sent again. */
async function uploadOne({ channel, stream }: PublishTarget, outgoing: Outgoing): Promise<Published> {
  const { message, idempotencyKey: given } = outgoing;
  const { content, sourceId, attributes, eventTime, priority, imageFeatures } = message;
  const idempotencyKey = given ?? (channel.idempotency ? channel.environment.newId() : "");
  const bytes = content?.value instanceof Uint8Array ? content.value : new Uint8Array();
  const kind = content?.$case === "image" ? UploadKind.UPLOAD_KIND_IMAGE : UploadKind.UPLOAD_KIND_DATA;
  const open = {
    stream,
    kind,
    contentBytes: bytes.length,
    sourceId,
    attributes,
    eventTime,
    priority,
    idempotencyKey,
    imageFeatures,
  };
  const { messageId, position } = await channel.upload(
    PublishServiceService.uploadContent,
    () => framesOf(open, bytes),
    { attempted: `publish to ${stream}`, repeatable: idempotencyKey !== "" },
  );
  return { messageId, position: position ?? { source: "", offset: 0 } };
}

/**
 * All of them, in order within a lane; waits for room as often as it takes. Rejects with PublishRefused once
 * all are settled.
 */
export async function publishAll(target: PublishTarget, outgoing: readonly Outgoing[]): Promise<Published[]> {
  const published: (Published | undefined)[] = outgoing.map(() => undefined);
  const refused = new Map<number, MillraceError>();
  const settling: Promise<void>[] = [];
  for (const [index, each] of outgoing.entries()) {
    await target.publishers.of(each).room();
    const settled = publishOne(target, each).then(
      (done) => void (published[index] = done),
      (error: unknown) => void refused.set(index, MillraceError.from(error, `publish to ${target.stream}`)),
    );
    settling.push(settled);
  }
  await Promise.all(settling);
  if (refused.size > 0) throw new PublishRefused(new Map([...refused].sort(([a], [b]) => a - b)), published);
  return published.filter((done) => done !== undefined);
}
