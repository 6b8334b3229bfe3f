import type {
  DeleteArtifactRequest,
  DeleteArtifactResponse,
  DeleteContentRequest,
  DeleteContentResponse,
} from "@millrace/proto/artifact";
import type { EraseRequest, EraseResponse } from "@millrace/proto/work";
import type { UnaryCall } from "../../rpc/unary-call.js";
import { requireStream } from "../../stream/stream-name.js";
import { type ArtifactParts, checkId } from "./get-artifact.js";

export interface DeleteParts extends Pick<ArtifactParts, "tenant" | "find"> {
  /** Asks output, which keeps contents. */
  eraseContents(request: EraseRequest, timeoutMs: number): Promise<EraseResponse>;
}

/** So much of the deadline is left to answer in. */
const answerMs = 500;

export const deleteContent =
  (parts: DeleteParts) =>
  async (
    { stream, artifact, contentId }: DeleteContentRequest,
    call: UnaryCall,
  ): Promise<DeleteContentResponse> => {
    await requireStream(parts.find, { tenant: parts.tenant, name: stream });
    checkId(artifact, "artifact");
    checkId(contentId, "content_id");
    const { erased } = await erase(parts, { stream, artifact, contentId }, call);
    return { deleted: erased > 0 };
  };

export const deleteArtifact =
  (parts: DeleteParts) =>
  async ({ stream, artifact }: DeleteArtifactRequest, call: UnaryCall): Promise<DeleteArtifactResponse> => {
    await requireStream(parts.find, { tenant: parts.tenant, name: stream });
    checkId(artifact, "artifact");
    const { erased, more } = await erase(parts, { stream, artifact, contentId: "" }, call);
    return { deleted: erased, more };
  };

function erase(
  { tenant, eraseContents }: DeleteParts,
  of: { stream: string; artifact: string; contentId: string },
  call: UnaryCall,
): Promise<EraseResponse> {
  const waitMs = Math.max(0, Math.floor(call.remainingMs() - answerMs));
  return eraseContents({ tenant, ...of, waitMs }, call.remainingMs());
}
