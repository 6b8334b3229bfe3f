import { artifactId } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import type { AnonymizeContentRequest, AnonymizeContentResponse } from "@millrace/proto/privacy";
import type { AnonymizeRequest, AnonymizeResponse } from "@millrace/proto/work";
import type { UnaryCall } from "../../rpc/unary-call.js";
import { requireStream } from "../../stream/stream-name.js";
import { type ArtifactParts, checkId } from "../content/get-artifact.js";

export interface AnonymizeParts extends Pick<ArtifactParts, "tenant" | "find"> {
  /** Asks output, which keeps contents and results. */
  anonymizeContents(request: AnonymizeRequest, timeoutMs: number): Promise<AnonymizeResponse>;
}

/** So much of the deadline is left for the work behind what is waited for. */
const workMs = 1_000;

export const anonymizeContent =
  (parts: AnonymizeParts) =>
  async (request: AnonymizeContentRequest, call: UnaryCall): Promise<AnonymizeContentResponse> => {
    const { tenant, find } = parts;
    const { stream, contentId, sourceId } = request;
    await requireStream(find, { tenant, name: stream });
    checkId(contentId, "content_id");
    if (request.artifact !== "") checkId(request.artifact, "artifact");
    const named = sourceId === "" ? "" : artifactId({ tenant, stream }, sourceId);
    const artifact = request.artifact === "" ? named : request.artifact;
    const waitMs = Math.max(0, Math.floor(call.remainingMs() - workMs));
    const asked = { tenant, stream, targets: [{ contentId, artifact }], waitMs };
    const { contents } = await parts.anonymizeContents(asked, call.remainingMs());
    const [done] = contents;
    if (done === undefined || done.missing) {
      throw new CodedError("not_found", `anonymize content ${contentId}: the stream has none of that id`, {
        field: "content_id",
        remedy: "Check the ids; what neither artifacts nor results keep can't be rewritten.",
      });
    }
    const { missing: _missing, ...answer } = done;
    return answer;
  };
