import { encodeHalf, idText, stamp } from "@millrace/envelope";
import { present } from "@millrace/errors";
import { type Outgoing, type Published, type Since, type Stored, subjects } from "@millrace/messaging";
import { StoredContent } from "@millrace/proto/artifact";
import type { Message } from "@millrace/proto/message";
import type { Stream } from "@millrace/proto/stream";
import type { EmbedRequest, EmbedResponse, ReplaceVectorRequest } from "@millrace/proto/work";
import type { ResultBudget } from "../results/result-budget.js";
import { type Clean, type Cleaned, cleanMessage } from "./clean-messages.js";
import { commitContent, type CommitParts } from "./commit-content.js";
import { matchResult, type ResultMatch, type Wanted } from "./result-matches.js";
import { renameArtifact } from "./rename-artifact.js";
import { rewriteResult } from "./rewrite-result.js";

export interface RewriteParts {
  clean: Clean;
  embed(request: EmbedRequest): Promise<EmbedResponse>;
  /** Asks the index; whether it had a vector. */
  replaceVector(request: ReplaceVectorRequest): Promise<boolean>;
  /** CONTENT. */
  contents: CommitParts;
  /** RESULT. */
  results: {
    since(filter: string, fromMs: number): AsyncIterable<Since>;
    publish(message: Outgoing): Promise<Published>;
    erase(seq: number): Promise<boolean>;
  };
  budget: Pick<ResultBudget, "ages" | "add" | "drop">;
  version: string;
  now(): number;
}

/** A message that is to be cleaned, and what is kept of it as a content. */
export interface Subject {
  artifact: string;
  message: Message;
  stored: StoredContent | undefined;
}

export interface Rewritten extends Subject {
  cleaned: Cleaned;
  vector: boolean;
  content: boolean;
  results: number;
}

export interface RewriteOf {
  tenant: string;
  stream: Stream;
  waitMs: number;
}

/** Clocks of two machines may differ by so much. */
const skewMs = 60_000;

/**
 * The vector first and the content last: one that broke off is found unclean by the next call, which does all
 * of it again.
 */
export async function rewriteSubjects(
  parts: RewriteParts,
  of: RewriteOf,
  subjectsToClean: readonly Subject[],
): Promise<Rewritten[]> {
  const startedMs = parts.now();
  const all: Rewritten[] = [];
  for (const subject of subjectsToClean) {
    const cleaned = await cleanMessage(subject.message, parts.clean);
    all.push({ ...subject, cleaned, vector: false, content: false, results: 0 });
  }
  const dirty = all.filter(({ cleaned }) => cleaned.types.length > 0);
  if (dirty.length === 0) return all;
  for (const each of dirty) await analyseAgain(parts, of, each);
  await rewriteResults(parts, of, { dirty, startedMs });
  for (const each of dirty) await rewriteContent(parts, of, { each, startedMs });
  return all;
}

/** What was computed from the content as it was: its vector, and its sentiment. */
async function analyseAgain(
  { embed, replaceVector }: RewriteParts,
  { tenant, stream, waitMs }: RewriteOf,
  each: Rewritten,
): Promise<void> {
  const { message, hasNewContent } = each.cleaned;
  const text = message.content?.$case === "text" ? message.content.value.trim() : "";
  const { textField = "", embeddings, sentiment } = stream.enrichments ?? {};
  if (text === "" || (embeddings !== true && sentiment !== true)) return;
  const { source, offset } = present(message.position, "a message's position");
  const eventTimeMs = Number(message.eventTime?.seconds ?? 0) * 1000;
  const answer = await embed({ texts: [text], query: false, sentiment: sentiment === true, textField });
  if (hasNewContent && message.sentiment !== undefined) message.sentiment = answer.sentiments[0];
  const bytes = Uint8Array.from(answer.vectors);
  const embedding = {
    tenant,
    stream: stream.name,
    artifact: each.artifact,
    contentId: message.id,
    sourceId: message.sourceId,
    eventTimeMs,
    model: answer.model,
    dimensions: answer.dimensions,
    vector: encodeHalf(new Float32Array(bytes.buffer, 0, Math.floor(bytes.length / 4))),
  };
  const expected = each.stored?.embedded === true;
  each.vector = await replaceVector({ embedding, source, offset, waitMs, expected });
}

/** Published again first, and erased then: in between a subscriber may see both, and never neither. */
async function rewriteResults(
  { results, budget, version, now }: RewriteParts,
  { tenant, stream }: RewriteOf,
  { dirty, startedMs }: { dirty: readonly Rewritten[]; startedMs: number },
): Promise<void> {
  if (stream.outputs?.results === undefined) return;
  const byId = new Map(dirty.map((each) => [each.message.id, each]));
  const wanted: Wanted = new Map(dirty.map(({ message }) => [message.id, message.position]));
  const cleaned = new Map(dirty.map(({ message, cleaned: { message: next } }) => [message.id, next]));
  const acceptedMs = Math.min(...dirty.map(({ message }) => message.acceptedUs / 1000));
  const matches: ResultMatch[] = [];
  for await (const result of results.since(subjects.result(tenant, stream.name), acceptedMs - skewMs)) {
    const match = matchResult(result, wanted);
    if (match !== undefined) matches.push(match);
  }
  const ids = new Set(matches.map(({ open }) => idText(open.header.id)));
  const decidedBy = dirty[0]?.cleaned.policy ?? "";
  for (const match of matches) {
    const made = { stage: "anonymize", version, decidedBy, startedMs, endedMs: now() };
    const next = rewriteResult({ ...match, open: stamp(match.open, made) }, cleaned, now());
    if (next === undefined) continue;
    // There already where a call before this one ended in between.
    if (!ids.has(next.id)) {
      const { ttlSeconds: _, ...ageless } = next;
      const { seq } = await results.publish(budget.ages(tenant, stream) ? next : ageless);
      budget.add(tenant, stream, { seq, bytes: next.data.length, timeMs: now() });
    }
    await results.erase(match.result.seq);
    budget.drop(tenant, stream.name, match.result.seq);
    for (const { id } of match.rows.values()) {
      const each = byId.get(id);
      if (each !== undefined) each.results++;
    }
  }
}

async function rewriteContent(
  { contents, version, now }: RewriteParts,
  { tenant, stream }: RewriteOf,
  { each, startedMs }: { each: Rewritten; startedMs: number },
): Promise<void> {
  const { stored, cleaned, artifact, message } = each;
  if (stored === undefined) return;
  const hop = {
    stage: "anonymize",
    version,
    decidedBy: cleaned.policy,
    startedUs: Math.round(startedMs * 1000),
    endedUs: Math.round(now() * 1000),
  };
  const next = { ...cleaned.message, passport: [...message.passport, hop] };
  const name = { tenant, stream: stream.name, artifact, content: message.id };
  await renameArtifact(contents, name, { from: message.sourceId, to: next.sourceId });
  await commitContent(contents, name, { ...stored, message: next });
  each.content = true;
}

/** What output holds of a content, as a subject to clean. */
export function subjectOf(stored: Stored): Subject | undefined {
  const content = StoredContent.decode(stored.data);
  const { message, artifact } = content;
  return message === undefined ? undefined : { artifact, message, stored: content };
}
