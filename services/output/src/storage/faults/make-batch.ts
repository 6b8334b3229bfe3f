import { noAnnotations, type OpenBatch } from "@millrace/envelope";
import { Framing, Kind, Lane } from "@millrace/proto/batch";

/** A batch of texts as it would come over the bus; what isn't given has the plainest value. */
export function makeBatch(texts: readonly string[], as: Partial<BatchShape> = {}): OpenBatch {
  const {
    source = "5".repeat(32),
    positionFrom = 0,
    positionDeltas = [],
    framing = Framing.FRAMING_LINES,
  } = as;
  const isLines = framing === Framing.FRAMING_LINES;
  const body = Buffer.from(texts.map((text) => (isLines ? `${text}\n` : text)).join(""));
  const reach =
    positionDeltas.length === 0 ? texts.length : positionDeltas.reduce((sum, delta) => sum + delta, 0);
  return {
    header: {
      id: new Uint8Array(16),
      tenant: "acme",
      stream: "orders",
      lane: Lane.LANE_BATCH,
      partition: "any",
      source,
      positionFrom,
      positionTo: positionFrom + reach,
      schemaVersion: 1,
      count: texts.length,
      framing,
      bodyBytes: body.byteLength,
      acceptedUs: 0,
      streamCreatedMs: 0,
    },
    columns: {
      lengths: Uint32Array.from(texts, (text) => Buffer.byteLength(text)),
      positionDeltas: Uint32Array.from(positionDeltas),
      eventTimeBaseMs: 1_700_000_000_000,
      eventTimeDeltasMs: [],
      kind: Kind.KIND_TEXT,
      kinds: [],
      sourceIds: ["till-7"],
      sourceIdIndexes: [],
      ids: as.ids === undefined ? new Uint8Array(0) : Buffer.concat(as.ids.map(idOf)),
      attributes: [],
      rowsWithoutEmbedding: [],
      imageRows: [],
      imageWishes: [],
    },
    body,
    annotations: noAnnotations,
    passport: [],
  };
}

interface BatchShape {
  source: string;
  positionFrom: number;
  positionDeltas: readonly number[];
  framing: Framing;
  /** One a row; 0 stands for a message without an id of its client's. */
  ids: readonly number[];
}

function idOf(value: number): Buffer {
  return Buffer.from(value.toString(16).padStart(32, "0"), "hex");
}
