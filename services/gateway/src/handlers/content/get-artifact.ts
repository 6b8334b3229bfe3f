import { CodedError } from "@millrace/errors";
import { artifactId } from "@millrace/envelope";
import {
  type Artifact,
  type GetContentRequest,
  type GetContentResponse,
  type GetOrCreateArtifactRequest,
  type GetOrCreateArtifactResponse,
  StoredContent,
} from "@millrace/proto/artifact";
import type { Stream } from "@millrace/proto/stream";
import { checkSourceId } from "../../publish/outgoing-row.js";
import type { UnaryCall } from "../../rpc/unary-call.js";
import { type FindStream, requireStream } from "../../stream/stream-name.js";

export interface ContentOf {
  tenant: string;
  stream: string;
  artifact: string;
  content: string;
}

export interface ArtifactParts {
  tenant: string;
  find: FindStream;
  /** The names as privacy lets them pass in that stream. */
  cleanNames(of: { tenant: string; stream: string }, names: string[], timeoutMs: number): Promise<string[]>;
  /** The bytes of a stored content; undefined where there is none. */
  readContent(of: ContentOf): Promise<Uint8Array | undefined>;
}

export const getOrCreateArtifact =
  (parts: ArtifactParts) =>
  async (request: GetOrCreateArtifactRequest, call: UnaryCall): Promise<GetOrCreateArtifactResponse> => {
    const stream = await artifactStream(parts, request.stream);
    return { artifact: await artifactOf(parts, { stream, sourceId: request.sourceId }, call) };
  };

export const getContent =
  (parts: ArtifactParts) =>
  async (request: GetContentRequest): Promise<GetContentResponse> => ({
    content: await readStoredContent(parts, request),
  });

/** Errors: `invalid_argument`, `not_found`. */
export async function readStoredContent(
  parts: ArtifactParts,
  { stream, artifact, contentId }: GetContentRequest,
): Promise<StoredContent> {
  const { tenant, find } = parts;
  await requireStream(find, { tenant, name: stream });
  checkId(artifact, "artifact");
  checkId(contentId, "content_id");
  const found = await parts.readContent({ tenant, stream, artifact, content: contentId });
  if (found !== undefined) return StoredContent.decode(found);
  throw new CodedError("not_found", `get content ${contentId}: the artifact has none of that id`, {
    field: "content_id",
    remedy: "A text is stored a moment after it was added; try again, or check the ids.",
  });
}

/** The stream, if it keeps artifacts. Errors: `failed_precondition`. */
export async function artifactStream(
  { tenant, find }: Pick<ArtifactParts, "tenant" | "find">,
  name: string,
): Promise<Stream> {
  const stream = await requireStream(find, { tenant, name });
  if (stream.outputs?.artifacts === true) return stream;
  throw new CodedError("failed_precondition", `use artifacts: stream ${name} keeps none`, {
    field: "stream",
    remedy: "Declare outputs.artifacts with UpdateStream.",
  });
}

/** An artifact needs no record of its own: it is named by its source id as privacy lets that pass. */
export async function artifactOf(
  parts: ArtifactParts,
  { stream, sourceId }: { stream: Stream; sourceId: string },
  call: UnaryCall,
): Promise<Artifact> {
  if (sourceId === "") {
    const remedy = "Name what the texts are about.";
    throw new CodedError("invalid_argument", "use artifacts: source_id is empty", {
      field: "source_id",
      remedy,
    });
  }
  checkSourceId(sourceId);
  const of = { tenant: parts.tenant, stream: stream.name };
  const [clean = ""] = await parts.cleanNames(of, [sourceId], call.remainingMs());
  return { id: artifactId(of, clean), stream: stream.name, sourceId: clean };
}

/** Ids are tokens of subjects: anything else would read another subject. */
export function checkId(id: string, field: string): void {
  if (/^[0-9a-f]{32}$/.test(id)) return;
  throw new CodedError("invalid_argument", "name a content: that is no id", {
    field,
    remedy: "Use the 32 hexadecimal digits that the server gave.",
  });
}
