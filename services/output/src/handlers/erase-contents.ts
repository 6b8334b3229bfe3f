import { deriveId } from "@millrace/envelope";
import { present } from "@millrace/errors";
import { type Outgoing, type Published, type Stored, type StoredPage, subjects } from "@millrace/messaging";
import { StoredContent } from "@millrace/proto/artifact";
import type { EraseRequest, EraseResponse, ReplaceVectorRequest } from "@millrace/proto/work";

export interface MessagePlace {
  tenant: string;
  stream: string;
  source: string;
  position: number;
}

export interface EraseParts {
  /** Resolves when the sink of results is through with a message. Errors: `deadline_exceeded`. */
  untilSettled(of: MessagePlace & { waitMs: number }): Promise<void>;
  readLast(subject: string): Promise<Stored | undefined>;
  readPage(filter: string, limits: { countMax: number; bytesMax: number }): Promise<StoredPage>;
  erase(seq: number): Promise<boolean>;
  publish(message: Outgoing): Promise<Published>;
  /** Asks the index; of a content that has none, nothing is there to replace. */
  replaceVector(request: ReplaceVectorRequest): Promise<void>;
}

const pageLimits = { countMax: 1_000, bytesMax: 64 * 1024 * 1024 };
const inFlightMax = 16;

/** One content, or the oldest of an artifact; what is found of each is overwritten, vector first. */
export const eraseContents =
  (parts: EraseParts) =>
  async (request: EraseRequest): Promise<EraseResponse> => {
    const { tenant, stream, artifact, contentId } = request;
    if (contentId !== "") {
      const found = await parts.readLast(subjects.content(tenant, stream, artifact, contentId));
      if (found === undefined) return { erased: 0, more: false };
      await eraseOne(parts, request, found);
      await forgetEmpty(parts, request);
      return { erased: 1, more: false };
    }
    const { messages, more } = await parts.readPage(
      subjects.content(tenant, stream, artifact, "*"),
      pageLimits,
    );
    for (let at = 0; at < messages.length; at += inFlightMax) {
      const some = messages.slice(at, at + inFlightMax);
      await Promise.all(some.map((found) => eraseOne(parts, request, found)));
    }
    if (!more) await forgetEmpty(parts, request);
    return { erased: messages.length, more };
  };

/** An artifact is listed as long as it has contents. */
async function forgetEmpty(parts: EraseParts, { tenant, stream, artifact }: EraseRequest): Promise<void> {
  const contents = subjects.content(tenant, stream, artifact, "*");
  const isEmpty = async (): Promise<boolean> =>
    (await parts.readPage(contents, { countMax: 1, bytesMax: 1 })).messages.length === 0;
  if (!(await isEmpty())) return;
  const subject = subjects.artifact(tenant, stream, artifact);
  const known = await parts.readLast(subject);
  if (known === undefined) return;
  await parts.erase(known.seq);
  if (await isEmpty()) return;
  // A content was stored meanwhile, and found its artifact there.
  const id = deriveId("artifact", subject, String(known.seq));
  await parts.publish({ subject, data: known.data, id, keepsFirst: true });
}

/** The content last: as long as it is there, an erasure that broke off is found and done again. */
async function eraseOne(
  parts: EraseParts,
  { tenant, stream, artifact, waitMs }: EraseRequest,
  found: Stored,
): Promise<void> {
  const { id, message } = StoredContent.decode(found.data);
  if (message !== undefined) {
    const { source, offset } = present(message.position, "a content's position");
    await parts.untilSettled({ tenant, stream, source, position: offset, waitMs });
    const embedding = { ...noVector, tenant, stream, artifact, contentId: id };
    await parts.replaceVector({ embedding, source, offset, waitMs, expected: false });
  }
  await parts.erase(found.seq);
}

const noVector = { sourceId: "", eventTimeMs: 0, model: "", dimensions: 0, vector: new Uint8Array() };
