import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { allDetectors } from "../../policy/all-detectors.js";
import type { Findings } from "./findings.js";
import { createScanner } from "./scanner.js";

const scanner = createScanner({ detectors: allDetectors });
const encoder = new TextEncoder();

interface Found {
  row: number;
  type: number;
  start: number;
  end: number;
}

/** Findings with offsets inside their messages, so that they compare across groupings. */
function inMessages(findings: Findings, messages: readonly Uint8Array[], gapBytes: number): Found[] {
  const offsets: number[] = [];
  let offset = 0;
  for (const message of messages) {
    offsets.push(offset);
    offset += message.length + gapBytes;
  }
  return Array.from({ length: findings.count }, (_, i) => {
    const row = findings.rows[i] as number;
    const from = offsets[row] as number;
    return {
      row,
      type: findings.types[i] as number,
      start: (findings.starts[i] as number) - from,
      end: (findings.ends[i] as number) - from,
    };
  });
}

function scanBatch(messages: readonly Uint8Array[], gapBytes: 0 | 1): Found[] {
  const parts = messages.flatMap((message) => (gapBytes === 1 ? [message, encoder.encode("\n")] : [message]));
  const findings = scanner.scan(Buffer.concat(parts), {
    lengths: messages.map(({ length }) => length),
    gapBytes,
  });
  return inMessages(findings, messages, gapBytes);
}

function scanAlone(messages: readonly Uint8Array[]): Found[] {
  return messages.flatMap((message, row) =>
    inMessages(scanner.scan(message, { lengths: [message.length], gapBytes: 0 }), [message], 0).map(
      (found) => ({
        ...found,
        row,
      }),
    ),
  );
}

/** Pieces that are personal data, break into it, or look like it; a message is a row of them. */
const pieces = [
  "anna@example.com",
  "4111 1111 1111 1111",
  "4111111111111111",
  "+49 30 1234567",
  "(212) 555-0123",
  "030 / 123 45 67",
  "123-45-6789",
  "192.168.1.10",
  "2001:db8::1",
  "::1",
  "DE89370400440532013000",
  "https://a:b@c.test/",
  "1763842000000",
  "12:34:56",
  "\\n",
  "é",
  "“",
  ..."0123456789 -.:@+/()aD\n",
];

const message = fc.array(fc.constantFrom(...pieces), { maxLength: 12 }).chain((parts) => {
  const text = parts.join("");
  const bytes = encoder.encode(text);
  // Cut anywhere, also inside a number or a character: a message is any bytes.
  return fc
    .tuple(fc.nat(bytes.length), fc.nat(bytes.length))
    .map(([a, b]) => bytes.subarray(Math.min(a, b), Math.max(a, b)));
});

test("a message's findings are its own, however messages are grouped and framed", () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 8 }), (messages) => {
      const alone = scanAlone(messages);
      assert.deepEqual(scanBatch(messages, 0), alone);
      assert.deepEqual(scanBatch(messages, 1), alone);
    }),
    { numRuns: 1_500, seed: 5 },
  );
});

test("a text cut into messages at any places gives what the pieces give", () => {
  const bytes = encoder.encode(pieces.join(" "));
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(bytes.length), { maxLength: 30 }), (cuts) => {
      const borders = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
      const messages = borders.slice(1).map((end, i) => bytes.subarray(borders[i], end));
      assert.deepEqual(scanBatch(messages, 0), scanAlone(messages));
    }),
    { numRuns: 500, seed: 6 },
  );
});

test("an account number is found behind a message, an escape or a word break, and not in a hash", () => {
  const account = "DE89370400440532013000";
  const found = (...texts: string[]) =>
    scanBatch(
      texts.map((text) => encoder.encode(text)),
      0,
    ).length;
  assert.equal(found("a message of words", account), 1);
  assert.equal(found("0a1b2c3d4e5f", account, "0a1b2c3d4e5f", account), 2);
  assert.equal(found(`{"text":"see\\u0020${account}"}`), 1);
  assert.equal(found(`{"text":"see\\n${account}"}`), 1);
  assert.equal(found(`abcdef-${account}`), 1);
  assert.equal(found(`abcdef${account}`), 0);
});

test("findings are in order and do not overlap", () => {
  fc.assert(
    fc.property(message, (bytes) => {
      const { count, starts, ends } = scanner.scan(bytes, { lengths: [bytes.length], gapBytes: 0 });
      for (let i = 0; i < count; i++) {
        assert.ok((starts[i] as number) < (ends[i] as number));
        if (i > 0) assert.ok((ends[i - 1] as number) <= (starts[i] as number));
      }
    }),
    { numRuns: 1_000, seed: 7 },
  );
});

test("an overlap takes the type of the higher priority and the span of both", () => {
  const bytes = encoder.encode("4111111111111111@example.com");
  const [found, ...more] = scanBatch([bytes], 0);
  assert.deepEqual(found, { row: 0, type: 3, start: 0, end: bytes.length });
  assert.deepEqual(more, []);
});

test("finds the same at the border of tiles as elsewhere", () => {
  for (let shift = -40; shift <= 4; shift++) {
    const text = `${"x".repeat(32_768 + shift)} 4111 1111 1111 1111 anna@example.com `;
    const found = scanBatch([encoder.encode(text)], 0);
    assert.deepEqual(
      found.map(({ type }) => type),
      [3, 1],
    );
  }
});

test("work grows with the input and no faster on texts made to attack", () => {
  const attacks = [
    "@",
    "1",
    ".",
    "-",
    ":",
    "a@",
    "1.",
    "1-",
    "1 ",
    "a@a.",
    "://",
    "://a:b@",
    "0 ",
    "00 ",
    "+1",
    "(1)",
    "4111 ",
  ];
  attacks.push(
    "1:",
    "ab12",
    "\\",
    "\\u00e9",
    "é",
    "(030) ",
    "212-555-",
    "DE89",
    "4111111111111111.",
    "1.1.1.1",
    "x@y.zz ",
  );
  for (const attack of attacks) {
    const [once, twice] = [100_000, 200_000].map((bytes) => {
      const body = encoder.encode(attack.repeat(bytes / attack.length));
      const before = scanner.steps;
      scanner.scan(body, { lengths: [body.length], gapBytes: 0 });
      return scanner.steps - before;
    }) as [number, number];
    assert.ok(twice <= once * 2.1 + 100, `${JSON.stringify(attack)}: ${once} then ${twice} steps`);
    assert.ok(twice <= 200_000 * 16, `${JSON.stringify(attack)}: ${twice} steps`);
  }
});
