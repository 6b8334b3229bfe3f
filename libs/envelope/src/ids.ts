import { hash } from "node:crypto";

/**
 * Ids are derived, never random: the same input gets the same id after a crash, so whoever sees it twice can
 * tell. Each is the first 128 bits of SHA-256 over the parts, NUL between them (no part may hold a NUL), as
 * 32 hex digits.
 */
export function deriveId(...parts: readonly string[]): string {
  return hash("sha256", parts.join("\0"), "hex").slice(0, 32);
}

export interface StreamName {
  tenant: string;
  stream: string;
}

/**
 * The opaque key by which a source is known past ingestion; `identity` may be personal data and stays there.
 */
export function sourceKey(of: StreamName, kind: string, identity: string): string {
  return deriveId("source", of.tenant, of.stream, kind, identity);
}

export function messageId(of: StreamName & { source: string }, position: number): string {
  return deriveId("message", of.tenant, of.stream, of.source, String(position));
}

/** The id of a message whose client named it. `createdMs` tells streams of one name apart. */
export function keyedMessageId(of: StreamName & { createdMs: number }, idempotencyKey: string): string {
  return deriveId("keyed", of.tenant, of.stream, String(of.createdMs), idempotencyKey);
}

export function batchId(of: StreamName & { source: string }, from: number, to: number): string {
  return deriveId("batch", of.tenant, of.stream, of.source, String(from), String(to));
}

/** The id of a batch that a stage makes out of another one. */
export function outputId(inputId: string, stage: string, index: number): string {
  return deriveId("output", inputId, stage, String(index));
}

/** An artifact is named by its source id as privacy let it pass. */
export function artifactId(of: StreamName, sourceId: string): string {
  return deriveId("artifact", of.tenant, of.stream, sourceId);
}

export function idBytes(id: string): Uint8Array {
  return Buffer.from(id, "hex");
}

export function idText(id: Uint8Array): string {
  return Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString("hex");
}
