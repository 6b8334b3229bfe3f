import { CodedError, present } from "@millrace/errors";
import type { AnalyzeSentimentRequest, AnalyzeSentimentResponse } from "@millrace/proto/artifact";
import type { EmbedRequest, EmbedResponse } from "@millrace/proto/work";
import type { UnaryCall } from "../../rpc/unary-call.js";
import { requireStream } from "../../stream/stream-name.js";
import { type ArtifactParts, readStoredContent } from "./get-artifact.js";

export interface AnalyzeParts extends ArtifactParts {
  /** Asks inference, ahead of its batches. */
  analyse(request: EmbedRequest, timeoutMs: number): Promise<EmbedResponse>;
}

/** As stored with the content; found now where the stream asks for none. The text passed privacy before. */
export const analyzeSentiment =
  (parts: AnalyzeParts) =>
  async (request: AnalyzeSentimentRequest, call: UnaryCall): Promise<AnalyzeSentimentResponse> => {
    const { message } = await readStoredContent(parts, request);
    if (message?.sentiment !== undefined) return { sentiment: message.sentiment, stored: true };
    const text = message?.content?.$case === "text" ? message.content.value.trim() : "";
    if (text === "") {
      throw new CodedError("failed_precondition", "analyse sentiment: the content has no text", {
        field: "content_id",
        remedy: "Name a content that is a text.",
      });
    }
    const { enrichments } = await requireStream(parts.find, { tenant: parts.tenant, name: request.stream });
    const textField = enrichments?.textField ?? "";
    const asked = { texts: [text], query: false, sentiment: true, textField };
    const { sentiments } = await parts.analyse(asked, call.remainingMs());
    return { sentiment: present(sentiments[0], "inference's answer to a text"), stored: false };
  };
