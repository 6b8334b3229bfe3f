import { artifactId } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import { type StreamRegistry, subjects } from "@millrace/messaging";
import type { Stream } from "@millrace/proto/stream";
import type {
  AnonymizedContent,
  AnonymizeRequest,
  AnonymizeResponse,
  AnonymizeTarget,
} from "@millrace/proto/work";
import {
  type RewriteParts,
  type Rewritten,
  rewriteSubjects,
  type Subject,
  subjectOf,
} from "../anonymize/anonymize.js";
import { matchResult, type Wanted } from "../anonymize/result-matches.js";
import type { MessagePlace } from "./erase-contents.js";

export interface AnonymizeParts extends RewriteParts {
  registry: Pick<StreamRegistry, "find">;
  /** Resolves when the sink of results is through with a message. Errors: `deadline_exceeded`. */
  untilSettled(of: MessagePlace & { waitMs: number }): Promise<void>;
  monotonic(): number;
  sleep(ms: number): Promise<void>;
}

const targetsMax = 100;
/** An event about a message may be heard before its content is stored; an id that is none is told so late. */
const appearMsMax = 3_000;
const appearPollMs = 250;

/** Contents without what any detector finds, wherever output keeps them, and in the index. */
export const anonymizeContents =
  (parts: AnonymizeParts) =>
  async (request: AnonymizeRequest): Promise<AnonymizeResponse> => {
    const { tenant, targets, waitMs } = request;
    const stream = await parts.registry.find(tenant, request.stream);
    if (stream === undefined || targets.length > targetsMax) throw refusal(stream);
    const found = await findSubjects(parts, { tenant, stream, waitMs }, targets);
    for (const { message } of found.values()) {
      const { source = "", offset = 0 } = message.position ?? {};
      await parts.untilSettled({ tenant, stream: stream.name, source, position: offset, waitMs });
    }
    const rewritten = await rewriteSubjects(parts, { tenant, stream, waitMs }, [...found.values()]);
    const byId = new Map(rewritten.map((each) => [each.message.id, each]));
    return { contents: targets.map(({ contentId }) => answerOf(byId.get(contentId))) };
  };

function refusal(stream: Stream | undefined): CodedError {
  if (stream === undefined)
    return new CodedError("not_found", "anonymize: no such stream", { field: "stream" });
  const remedy = `Name at most ${targetsMax}.`;
  return new CodedError("invalid_argument", "anonymize: too many contents", { field: "targets", remedy });
}

interface FindOf {
  tenant: string;
  stream: Stream;
  waitMs: number;
}

/** Each by its content; one that no artifact holds may still lie in the results. */
async function findSubjects(
  parts: AnonymizeParts,
  of: FindOf,
  targets: readonly AnonymizeTarget[],
): Promise<Map<string, Subject>> {
  const { tenant, stream, waitMs } = of;
  const until = parts.monotonic() + Math.min(waitMs, appearMsMax);
  const found = new Map<string, Subject>();
  for (;;) {
    const missing = targets.filter(({ contentId }) => !found.has(contentId));
    if (stream.outputs?.artifacts === true) {
      for (const { contentId, artifact } of missing) {
        const subject = subjects.content(tenant, stream.name, artifact === "" ? "*" : artifact, contentId);
        const stored = await parts.contents.readLast(subject);
        const one = stored && subjectOf(stored);
        if (one !== undefined) found.set(contentId, one);
      }
    } else await findInResults(parts, of, { missing, found });
    if (found.size === targets.length) return found;
    if (parts.monotonic() >= until) break;
    await parts.sleep(appearPollMs);
  }
  const missing = targets.filter(({ contentId }) => !found.has(contentId));
  await findInResults(parts, of, { missing, found });
  return found;
}

async function findInResults(
  { results }: AnonymizeParts,
  { tenant, stream }: FindOf,
  { missing, found }: { missing: readonly AnonymizeTarget[]; found: Map<string, Subject> },
): Promise<void> {
  if (stream.outputs?.results === undefined) return;
  const wanted: Wanted = new Map(missing.map(({ contentId }) => [contentId, undefined]));
  for await (const result of results.since(subjects.result(tenant, stream.name), 0)) {
    for (const message of matchResult(result, wanted)?.rows.values() ?? []) {
      const artifact = artifactId({ tenant, stream: stream.name }, message.sourceId);
      found.set(message.id, { artifact, message, stored: undefined });
    }
  }
}

function answerOf(rewritten: Rewritten | undefined): AnonymizedContent {
  return {
    missing: rewritten === undefined,
    artifact: rewritten?.artifact ?? "",
    types: rewritten?.cleaned.types ?? [],
    contentRewritten: rewritten?.content ?? false,
    vectorRewritten: rewritten?.vector ?? false,
    resultsRewritten: rewritten?.results ?? 0,
  };
}
