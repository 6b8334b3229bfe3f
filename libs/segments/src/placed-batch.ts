import { encodeBatch, idText, limits, type SendableBatch, wholeBatch } from "@millrace/envelope";
import { Batch, type SegmentRange } from "@millrace/proto/batch";

export interface PlacedBatch {
  id: string;
  subject: string;
  /** The batch as it travels on the bus: with its body, or with the range where that lies. */
  bytes: Uint8Array;
  messageCount: number;
  inSegment: boolean;
}

/** The rule, in one place: up to 64 KiB a body travels on the bus, above it by segment. */
export function travelsInline(bodyBytes: number): boolean {
  return bodyBytes <= limits.inlineBytesMax;
}

export function inlineBatch(batch: SendableBatch, subject: string): PlacedBatch {
  return {
    id: idText(batch.header.id),
    subject,
    bytes: encodeBatch(batch, { $case: "inline", value: wholeBatch(batch).body }),
    messageCount: batch.header.count,
    inSegment: false,
  };
}

/** Fields of a protobuf message may follow in any order: columns are encoded once, for frame and bus. */
export function withRange(batch: Uint8Array, range: SegmentRange): Uint8Array {
  const body = Batch.encode(Batch.fromPartial({ body: { $case: "range", value: range } })).finish();
  return Buffer.concat([batch, body]);
}
