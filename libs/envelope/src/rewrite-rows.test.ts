import assert from "node:assert/strict";
import { test } from "node:test";
import { Framing } from "@millrace/proto/batch";
import { encodeBatch } from "./open-batch.js";
import { messageViews } from "./message-view.js";
import { rewriteRows } from "./rewrite-rows.js";
import { buildBatch } from "./testing/index.js";

const email = { type: "EMAIL", place: "body", start: 6, length: 7, box: undefined };
const face = { x: 1, y: 2, width: 30, height: 40 };

for (const framing of [Framing.FRAMING_PACKED, Framing.FRAMING_LINES]) {
  test(`one row of a batch becomes another, and nothing of it is left in any column (${framing})`, () => {
    const built = buildBatch({
      framing,
      texts: ["first ann@example.com", "second bob@example.com", "third"],
    });
    const open = {
      ...built,
      columns: {
        ...built.columns,
        sourceIds: ["desk", "bob@example.com"],
        sourceIdIndexes: [0, 1, 0],
        attributes: [
          { name: "owner", rows: [0, 1], values: ["ann", "bob@example.com"] },
          { name: "bob@example.com", rows: [1], values: ["yes"] },
        ],
      },
    };
    const before = messageViews(open);
    const next = {
      ...before(1),
      content: { $case: "text" as const, value: "second [EMAIL]" },
      sourceId: "p-1",
      attributes: { owner: "[EMAIL]", "[EMAIL]": "yes" },
      findings: [
        email,
        { type: "FACE", place: "box", start: 0, length: 0, box: face },
        { type: "EMAIL", place: "name", start: 0, length: 0, box: undefined },
      ],
    };
    const rewritten = rewriteRows(open, new Map([[1, next]]));
    const view = messageViews(rewritten);
    assert.deepEqual([view(0), view(1), view(2)], [before(0), next, before(2)]);
    const bytes = encodeBatch(rewritten, { $case: "inline", value: rewritten.body });
    assert.equal(Buffer.from(bytes).includes("bob@"), false);
    assert.equal(Buffer.from(bytes).includes("ann@"), true);
  });
}
