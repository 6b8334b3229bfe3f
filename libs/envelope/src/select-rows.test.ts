import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { Framing, Kind, Lane } from "@millrace/proto/batch";
import { idBytes, idText, outputId } from "./ids.js";
import {
  checkBatch,
  type OpenBatch,
  rowAttributes,
  rowEventTimeMs,
  rowKind,
  rowOffsets,
  rowPositions,
  rowSourceId,
} from "./open-batch.js";
import { imageViews } from "./image/image-view.js";
import { omittedByRow } from "./message-view.js";
import { noColumn } from "./open-columns.js";
import { selectRows, splitBatch } from "./select-rows.js";
import { inlineBatch } from "./testing/builders.js";

/** The naive model: a message as a thing of its own, with all that the columns say of it. */
interface Message {
  body: number[];
  delta: number;
  timeDelta: number;
  kind: Kind;
  sourceId: string;
  id: number;
  attributes: Record<string, string>;
  withoutEmbedding: boolean;
  findings: { type: number; start: number; length: number }[];
  nameTypes: number[];
  omitted: number;
  embedding: number[] | undefined;
  sentiment: { score: number; label: number } | undefined;
}

const dimensions = 3;
const names = fc.constantFrom("alpha", "beta", "gamma");
const message: fc.Arbitrary<Message> = fc.record({
  body: fc.array(fc.integer({ min: 11, max: 255 }), { maxLength: 12 }),
  delta: fc.integer({ min: 1, max: 9 }),
  timeDelta: fc.integer({ min: -500, max: 500 }),
  kind: fc.constantFrom(Kind.KIND_TEXT, Kind.KIND_DATA),
  sourceId: fc.constantFrom("s1", "s2", "s3", "s4"),
  id: fc.integer({ min: 0, max: 255 }),
  attributes: fc.dictionary(names, fc.string({ maxLength: 4 }), { noNullPrototype: true }),
  withoutEmbedding: fc.boolean(),
  findings: fc.array(fc.record({ type: fc.nat(7), start: fc.nat(99), length: fc.nat(9) }), { maxLength: 3 }),
  nameTypes: fc.array(fc.nat(7), { maxLength: 2 }),
  omitted: fc.nat(2),
  embedding: fc.option(fc.array(fc.nat(65_535), { minLength: dimensions, maxLength: dimensions }), {
    nil: undefined,
  }),
  sentiment: fc.option(fc.record({ score: fc.constantFrom(-1, -0.5, 0.25, 1), label: fc.nat(3) }), {
    nil: undefined,
  }),
});

interface Shape {
  framing: Framing;
  /** Whether the optional columns are there at all. */
  full: boolean;
  from: number;
}

const shape: fc.Arbitrary<Shape> = fc.record({
  framing: fc.constantFrom(Framing.FRAMING_PACKED, Framing.FRAMING_LINES),
  full: fc.boolean(),
  from: fc.nat(1_000_000),
});

function build(messages: readonly Message[], { framing, full, from }: Shape): OpenBatch {
  const gap = framing === Framing.FRAMING_LINES ? [10] : [];
  const body = Uint8Array.from(messages.flatMap((one) => [...one.body, ...gap]));
  const dictionary = [...new Set(messages.map((one) => one.sourceId))];
  const withRow = messages.map((one, row) => ({ ...one, row }));
  const named = ["alpha", "beta", "gamma"].map((name) => ({
    name,
    held: withRow.filter((one) => Object.hasOwn(one.attributes, name)),
  }));
  const found = withRow.flatMap(({ row, findings }) => findings.map((finding) => ({ row, ...finding })));
  const inNames = withRow.flatMap(({ row, nameTypes }) => nameTypes.map((type) => ({ row, type })));
  const embedded = withRow.filter((one) => one.embedding !== undefined);
  const judged = withRow.filter((one) => one.sentiment !== undefined);
  const reach = messages.reduce((sum, one) => sum + (full ? one.delta : 1), 0);
  return {
    header: {
      id: idBytes("ab".repeat(16)),
      tenant: "default",
      stream: "s",
      lane: Lane.LANE_BATCH,
      partition: "any",
      source: "0".repeat(32),
      positionFrom: from,
      positionTo: from + reach,
      schemaVersion: 1,
      count: messages.length,
      framing,
      bodyBytes: body.length,
      acceptedUs: 5,
      streamCreatedMs: 0,
    },
    columns: {
      lengths: Uint32Array.from(messages, (one) => one.body.length),
      positionDeltas: full ? Uint32Array.from(messages, (one) => one.delta) : noColumn,
      eventTimeBaseMs: 1_000_000,
      eventTimeDeltasMs: full ? messages.map((one) => one.timeDelta) : [],
      kind: Kind.KIND_TEXT,
      kinds: full ? messages.map((one) => one.kind) : [],
      sourceIds: full ? dictionary : ["only"],
      sourceIdIndexes: full ? messages.map((one) => dictionary.indexOf(one.sourceId)) : [],
      ids: full ? Buffer.concat(messages.map((one) => Buffer.alloc(16, one.id))) : new Uint8Array(),
      attributes: named
        .filter(({ held }) => held.length > 0)
        .map(({ name, held }) => ({
          name,
          rows: held.map((one) => one.row),
          values: held.map((one) => one.attributes[name] ?? ""),
        })),
      rowsWithoutEmbedding: withRow.filter((one) => one.withoutEmbedding).map((one) => one.row),
      imageRows: withRow.filter((one) => one.withoutEmbedding).map((one) => one.row),
      imageWishes: messages.filter((one) => one.withoutEmbedding).map((one) => one.delta),
    },
    body,
    annotations: {
      findings: {
        rows: Uint32Array.from(found, (one) => one.row),
        types: Uint8Array.from(found, (one) => one.type),
        starts: Uint32Array.from(found, (one) => one.start),
        lengths: Uint32Array.from(found, (one) => one.length),
        nameRows: inNames.map((one) => one.row),
        nameTypes: inNames.map((one) => one.type),
        omittedRows: withRow.filter(({ omitted }) => omitted > 0).map(({ row }) => row),
        omittedCounts: messages.map(({ omitted }) => omitted).filter((omitted) => omitted > 0),
      },
      embeddings: {
        model: "m",
        dimensions,
        rows: embedded.map((one) => one.row),
        vectors: new Uint8Array(Uint16Array.from(embedded.flatMap((one) => one.embedding ?? [])).buffer),
      },
      sentiments: {
        model: "m",
        rows: judged.map((one) => one.row),
        scores: judged.map((one) => one.sentiment?.score ?? 0),
        labels: judged.map((one) => one.sentiment?.label ?? 0),
      },
      // Two of each, so that runs of a row are cut as one.
      objects: {
        model: "o",
        rows: judged.flatMap((one) => [one.row, one.row]),
        labels: judged.flatMap((one) => [`a${one.id}`, `b${one.id}`]),
        scores: judged.flatMap(() => [0.5, 0.25]),
        boxes: judged.flatMap((one) => [one.id, 1, 2, 3, one.id, 4, 5, 6]),
      },
      scenes: {
        model: "s",
        rows: judged.map((one) => one.row),
        labels: judged.map((one) => `c${one.id}`),
        scores: judged.map(() => 0.75),
      },
    },
    passport: [{ stage: "buffer", version: "1", decidedBy: "", startedUs: 1, endedUs: 2 }],
  };
}

/** All that a batch says of one message. */
function read(open: OpenBatch, row: number) {
  const { header, columns, annotations } = open;
  const { findings, embeddings, sentiments } = annotations;
  const start = rowOffsets(header, columns)[row] ?? 0;
  const positions = rowPositions(header, columns);
  const embeddedAt = embeddings?.rows.indexOf(row) ?? -1;
  const judgedAt = sentiments?.rows.indexOf(row) ?? -1;
  const size = dimensions * 2;
  return {
    body: [...open.body.subarray(start, start + (columns.lengths[row] ?? 0))],
    position: [positions[row], positions[row + 1]],
    time: rowEventTimeMs(columns, row),
    kind: rowKind(columns, row),
    sourceId: rowSourceId(columns, row),
    id: columns.ids.length === 0 ? [] : [...columns.ids.subarray(16 * row, 16 * row + 16)],
    attributes: rowAttributes(columns, row),
    withoutEmbedding: columns.rowsWithoutEmbedding.includes(row),
    findings: [...(findings?.rows ?? [])].flatMap((of, at) =>
      of === row ? [[findings?.types[at], findings?.starts[at], findings?.lengths[at]]] : [],
    ),
    omitted: omittedByRow(open).get(row) ?? 0,
    nameTypes: findings?.nameRows.flatMap((of, at) => (of === row ? [findings.nameTypes[at]] : [])),
    embedding:
      embeddedAt < 0
        ? []
        : [...(embeddings?.vectors.subarray(size * embeddedAt, size * (embeddedAt + 1)) ?? [])],
    sentiment: judgedAt < 0 ? [] : [sentiments?.scores[judgedAt], sentiments?.labels[judgedAt]],
    wish: columns.imageWishes[columns.imageRows.indexOf(row)],
    objects: imageViews(open).objects.get(row),
    scene: imageViews(open).scenes.get(row),
  };
}

const readAll = (open: OpenBatch) => Array.from({ length: open.header.count }, (_, row) => read(open, row));

function checkWhole(open: OpenBatch): void {
  checkBatch(inlineBatch(open));
}

const messages = fc.array(message, { minLength: 1, maxLength: 14 });

test("rows cut out of a batch say of each message what the batch said", () => {
  fc.assert(
    fc.property(messages, shape, fc.nat(), fc.nat(), (all, of, a, b) => {
      const open = build(all, of);
      const from = a % all.length;
      const to = from + 1 + (b % (all.length - from));
      const cut = selectRows(open, from, to, { stage: "privacy", index: 2 });
      checkWhole(cut);
      assert.deepEqual(readAll(cut), readAll(open).slice(from, to));
      assert.deepEqual(cut.passport, open.passport);
      const whole = from === 0 && to === all.length;
      const id = idText(open.header.id);
      assert.equal(idText(cut.header.id), whole ? id : outputId(id, "privacy", 2));
    }),
  );
});

test("the pieces of a split batch hold every message once, in order, within both bounds", () => {
  fc.assert(
    fc.property(
      messages,
      shape,
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 40 }),
      (all, of, rows, bytes) => {
        const open = build(all, of);
        const pieces = splitBatch(open, rows, bytes, "privacy");
        for (const piece of pieces) {
          checkWhole(piece);
          assert.ok(piece.header.count <= rows);
          assert.ok(piece.body.length <= bytes || piece.header.count === 1);
        }
        assert.deepEqual(pieces.flatMap(readAll), readAll(open));
        assert.equal(new Set(pieces.map((piece) => idText(piece.header.id))).size, pieces.length);
        for (const [at, piece] of pieces.entries()) {
          const before = at === 0 ? open.header.positionFrom : pieces[at - 1]?.header.positionTo;
          assert.equal(piece.header.positionFrom, before);
        }
        assert.equal(pieces.at(-1)?.header.positionTo, open.header.positionTo);
      },
    ),
  );
});

test("a cut carries no source id of the messages it left behind", () => {
  const plain = {
    delta: 1,
    timeDelta: 0,
    kind: Kind.KIND_TEXT,
    id: 0,
    attributes: {},
    withoutEmbedding: false,
  };
  const rest = { findings: [], nameTypes: [], omitted: 0, embedding: undefined, sentiment: undefined };
  const all = ["ann", "bob", "cy", "bob"].map((sourceId) => ({ ...plain, ...rest, body: [65], sourceId }));
  const open = build(all, { framing: Framing.FRAMING_PACKED, full: true, from: 0 });
  const cut = selectRows(open, 1, 4, { stage: "x", index: 0 });
  assert.deepEqual(
    [cut.columns.sourceIds, cut.columns.sourceIdIndexes],
    [
      ["bob", "cy"],
      [0, 1, 0],
    ],
  );
});
