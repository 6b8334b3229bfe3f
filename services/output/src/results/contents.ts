import { artifactId, deriveId, messageViews, type OpenBatch } from "@millrace/envelope";
import { type Outgoing, subjects } from "@millrace/messaging";
import { Artifact, StoredContent } from "@millrace/proto/artifact";

/**
 * One message a content: the last one of its subject is the content, so a rewrite erases what it replaces.
 * Then one an artifact, which is stored with its first content only.
 */
export function contentsOf(open: OpenBatch, nowMs: number): Outgoing[] {
  const { tenant, stream, count } = open.header;
  const view = messageViews(open);
  const embedded = new Set(open.annotations.embeddings?.rows ?? []);
  const storedTime = { seconds: Math.floor(nowMs / 1000), nanos: Math.floor((nowMs % 1000) * 1e6) };
  const artifacts = new Map<string, Outgoing>();
  const contents = Array.from({ length: count }, (_, row) => {
    const message = view(row);
    const { sourceId } = message;
    const artifact = artifactId(open.header, sourceId);
    if (!artifacts.has(artifact)) {
      artifacts.set(artifact, {
        subject: subjects.artifact(tenant, stream, artifact),
        data: Artifact.encode({ id: artifact, stream, sourceId }).finish(),
        // Not the artifact's: one that was deleted comes back with another content.
        id: deriveId("artifact", message.id),
        keepsFirst: true,
      });
    }
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
  return [...contents, ...artifacts.values()];
}
