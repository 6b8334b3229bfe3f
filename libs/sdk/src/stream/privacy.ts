import type { Finding } from "@millrace/proto/message";
import { PrivacyServiceService } from "@millrace/proto/privacy";
import type { Channel } from "../rpc/channel.js";
import { checkText } from "../units/checks.js";

export interface AnonymizedText {
  text: string;
  /** Type, byte offset and length of each replacement in `text`. */
  findings: readonly Finding[];
}

/** Personal data in a text of one's own; it is used in memory on the server, never stored or logged. */
export interface Privacy {
  /** Type, byte offset and length of each finding in the text. Every detector looks. */
  detect(text: string): Promise<readonly Finding[]>;
  /** The text with its findings replaced. */
  anonymize(text: string): Promise<AnonymizedText>;
}

/** A content by its id; with artifact or source id it is found at once, else in its whole stream. */
export type ContentName = string | { id: string; artifact?: string; sourceId?: string };

export interface AnonymizedContent {
  artifact: string;
  /** Types of what was found and replaced by this call; none: it was clean, and nothing was rewritten. */
  types: readonly string[];
  contentRewritten: boolean;
  vectorRewritten: boolean;
  /** Result messages that were erased, each published again without what was found. */
  resultsRewritten: number;
}

export function createPrivacy(channel: Channel): Privacy {
  return {
    async detect(text) {
      checkText(text, "text");
      const call = { attempted: "detect personal data" };
      return (await channel.unary(PrivacyServiceService.detectText, { text }, call)).findings;
    },
    anonymize(text) {
      checkText(text, "text");
      return channel.unary(PrivacyServiceService.anonymizeText, { text }, { attempted: "anonymize a text" });
    },
  };
}

export async function anonymizeContent(
  channel: Channel,
  stream: string,
  content: ContentName,
): Promise<AnonymizedContent> {
  const { id, artifact = "", sourceId = "" } = typeof content === "string" ? { id: content } : content;
  checkText(id, "id");
  const request = { stream, contentId: id, artifact, sourceId };
  const call = { attempted: `anonymize content ${id}` };
  return channel.unary(PrivacyServiceService.anonymizeContent, request, call);
}
