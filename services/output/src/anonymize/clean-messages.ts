import { contentBytes, limits } from "@millrace/envelope";
import type { Finding, Message } from "@millrace/proto/message";
import type { CleanedBody, CleanedPlace, CleanResponse } from "@millrace/proto/work";
import { CodedError, present } from "@millrace/errors";

/** Asks privacy, with every detector on. */
export type Clean = (asked: { names: string[]; bodies: Uint8Array[] }) => Promise<CleanResponse>;

export interface Cleaned {
  message: Message;
  /** Types of what was found and replaced now, each once; none: the message is as it was given. */
  types: string[];
  /** Whether its content is another now, and not only a name. */
  hasNewContent: boolean;
  /** What decided. */
  policy: string;
}

/**
 * A message without what any detector finds: in its content, its source id, and the names and values of its
 * attributes. It passed its stream's own policy long ago; tokens that are there already are found by nobody.
 */
export async function cleanMessage(message: Message, clean: Clean): Promise<Cleaned> {
  const isImage = message.content?.$case === "image";
  if (isImage) requireFiltered(message);
  const attributes = Object.entries(message.attributes);
  const texts = [message.sourceId, ...attributes.flat()].map((text) => Buffer.from(text));
  const answer = await clean({
    names: [message.sourceId],
    // Pixels are no text: a number that is found among them is none.
    bodies: [isImage ? new Uint8Array() : contentBytes(message), ...texts],
  });
  const [content, sourceId, ...rest] = answer.bodies;
  const inContent = present(content, "privacy's answer to a content");
  const inNames = [sourceId, ...rest].flatMap((body) => body?.places ?? []);
  const types = [...new Set([...inContent.places, ...inNames].map(({ type }) => type))].sort();
  if (types.length === 0) return { message, types, hasNewContent: false, policy: answer.policy };
  const { findings, findingsOmitted } = findingsOf(message, inContent.places, inNames);
  return {
    message: {
      ...message,
      content: inContent.places.length === 0 ? message.content : withBytes(message.content, inContent),
      sourceId: answer.names[0] ?? "",
      attributes: Object.fromEntries(
        attributes.map((_, at) => [textOf(rest[2 * at]), textOf(rest[2 * at + 1])]),
      ),
      findings,
      findingsOmitted,
    },
    types,
    hasNewContent: inContent.places.length > 0,
    policy: answer.policy,
  };
}

/** An image that passed the filter has neither metadata nor faces; another one is not made anew here. */
function requireFiltered({ passport }: Message): void {
  if (passport.some(({ stage }) => stage === "privacy")) return;
  throw new CodedError("failed_precondition", "clean a message: its image never passed the privacy filter", {
    remedy: "Delete the content, and send the image to a stream that is not exempt.",
  });
}

function withBytes(content: Message["content"], { body }: CleanedBody): Message["content"] {
  if (content === undefined) return undefined;
  if (content.$case === "text") return { $case: "text", value: Buffer.from(body).toString("utf8") };
  return { ...content, value: body };
}

const textOf = (body: CleanedBody | undefined): string => Buffer.from(body?.body ?? []).toString("utf8");

/** What was found before, where it is now, and what was found now; as many as a message may list. */
function findingsOf(
  message: Message,
  inContent: readonly CleanedPlace[],
  inNames: readonly CleanedPlace[],
): Pick<Message, "findings" | "findingsOmitted"> {
  const boxes = message.findings.filter(({ place }) => place === "box");
  const body = [
    ...boxes,
    ...moveFindings(
      message.findings.filter(({ place }) => place === "body"),
      inContent,
    ),
    ...inContent.map(({ type, start, length }) => ({ type, place: "body", start, length, box: undefined })),
  ].sort((a, b) => a.start - b.start);
  const names = [
    ...message.findings.filter(({ place }) => place === "name"),
    ...inNames.map(({ type }) => ({ type, place: "name", start: 0, length: 0, box: undefined })),
  ];
  const findings = [...body.slice(0, limits.findingsMax), ...names.slice(0, limits.nameFindingsMax)];
  const omitted = body.length + names.length - findings.length;
  return { findings, findingsOmitted: message.findingsOmitted + omitted };
}

/** Tokens of earlier findings lie elsewhere now; one that was taken for a part of a new finding is gone. */
export function moveFindings(earlier: readonly Finding[], places: readonly CleanedPlace[]): Finding[] {
  const edges = edgesOf(places);
  return earlier.flatMap((finding) => {
    const end = finding.start + finding.length;
    let shift = 0;
    for (const { from, to, moved } of edges) {
      if (from < end && finding.start < to) return [];
      if (to <= finding.start) shift = moved;
    }
    return [{ ...finding, start: finding.start + shift }];
  });
}

/** Where each replaced part lay, and how far what follows it was moved. */
function edgesOf(places: readonly CleanedPlace[]): { from: number; to: number; moved: number }[] {
  let moved = 0;
  return places.map(({ start, length, givenStart, givenLength }) => {
    // A bare number in JSON gets quotes, which lie outside of its token: one before it, and one behind it.
    const quotes = start - (givenStart + moved);
    moved += length + 2 * quotes - givenLength;
    return { from: givenStart, to: givenStart + givenLength, moved };
  });
}
