import { artifactId, messageViews, type OpenBatch } from "@millrace/envelope";
import { type Outgoing, subjects } from "@millrace/messaging";
import { StoredContent } from "@millrace/proto/artifact";

/**
 * One message a content: the last one of its subject is the content, so a rewrite erases what it replaces.
 */
export function contentsOf(open: OpenBatch, nowMs: number): Outgoing[] {
  const { tenant, stream, count } = open.header;
  const view = messageViews(open);
  const embedded = new Set(open.annotations.embeddings?.rows ?? []);
  const storedTime = { seconds: Math.floor(nowMs / 1000), nanos: Math.floor((nowMs % 1000) * 1e6) };
  return Array.from({ length: count }, (_, row) => {
    const message = view(row);
    const artifact = artifactId(open.header, message.sourceId);
    const content: StoredContent = {
      id: message.id,
      artifact,
      message,
      embedded: embedded.has(row),
      storedTime,
    };
    return {
      subject: subjects.content(tenant, stream, artifact, message.id),
      data: StoredContent.encode(content).finish(),
      id: message.id,
    };
  });
}
