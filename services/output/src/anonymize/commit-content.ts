import { hash } from "node:crypto";
import { deriveId } from "@millrace/envelope";
import { type Outgoing, type Published, type Stored, subjects } from "@millrace/messaging";
import { StoredContent } from "@millrace/proto/artifact";

/*
 * A message that a newer one of its subject replaces is gone, but its bytes stay on the disk. So the old one
 * is erased first, and what takes its place is kept beside it meanwhile:
 *
 *   content old │ content old          │ –                    │ content new          │ content new
 *               │ rewrite.… new        │ rewrite.… new        │ rewrite.… new        │
 *
 * A process that dies in between has not lost the content: whoever starts next finishes what is kept beside.
 */
export interface CommitParts {
  readLast(subject: string): Promise<Stored | undefined>;
  publish(message: Outgoing): Promise<Published>;
  erase(seq: number): Promise<boolean>;
}

export interface ContentName {
  tenant: string;
  stream: string;
  artifact: string;
  content: string;
}

export async function commitContent(
  parts: CommitParts,
  { tenant, stream, artifact, content }: ContentName,
  next: StoredContent,
): Promise<void> {
  const data = StoredContent.encode(next).finish();
  const rewrite = subjects.rewrite(tenant, stream, artifact, content);
  const { seq } = await parts.publish({ subject: rewrite, data, id: idOf(rewrite, data) });
  await finish(parts, { seq, subject: rewrite, data });
}

/** Both steps may have been done before: the id tells the broker. */
export async function finish(
  parts: CommitParts,
  rewrite: Pick<Stored, "seq" | "subject" | "data">,
): Promise<void> {
  const subject = rewrite.subject.replace(/^rewrite\./, "content.");
  const old = await parts.readLast(subject);
  const isDone = old !== undefined && Buffer.compare(old.data, rewrite.data) === 0;
  if (old !== undefined && !isDone) await parts.erase(old.seq);
  if (!isDone) await parts.publish({ subject, data: rewrite.data, id: idOf(subject, rewrite.data) });
  await parts.erase(rewrite.seq);
}

const idOf = (subject: string, data: Uint8Array): string =>
  deriveId("rewrite", subject, hash("sha256", data, "hex"));
