import { deriveId } from "@millrace/envelope";
import { subjects } from "@millrace/messaging";
import { Artifact } from "@millrace/proto/artifact";
import type { CommitParts, ContentName } from "./commit-content.js";

/**
 * The list of artifacts names what each is about, so a source id that is cleaned goes from there too. Erased
 * first, as the bytes of what is only replaced stay; a call that broke off in between is done again.
 */
export async function renameArtifact(
  parts: CommitParts,
  { tenant, stream, artifact }: Omit<ContentName, "content">,
  { from, to }: { from: string; to: string },
): Promise<void> {
  if (from === to) return;
  const subject = subjects.artifact(tenant, stream, artifact);
  const listed = await parts.readLast(subject);
  if (listed !== undefined) {
    if (Artifact.decode(listed.data).sourceId !== from) return;
    await parts.erase(listed.seq);
  }
  const data = Artifact.encode({ id: artifact, stream, sourceId: to }).finish();
  const id = deriveId("artifact", subject, to, String(listed?.seq ?? 0));
  await parts.publish({ subject, data, id, keepsFirst: true });
}
