import assert from "node:assert/strict";
import test from "node:test";
import { partsOf } from "@millrace/envelope";
import fc from "fast-check";
import { createScanner } from "../detect/scan/scanner.js";
import { allDetectors } from "../policy/all-detectors.js";
import { detectText, redactText } from "./detect-text.js";
import { cutBody, redactBody } from "./redact-body.js";

const scanner = createScanner({ detectors: allDetectors });
const decoder = new TextDecoder();

function redactBatch(messages: readonly string[], gapBytes: 0 | 1) {
  const encoded = messages.map((message) => Buffer.from(message));
  const body = Buffer.from(
    messages.join(gapBytes === 1 ? "\n" : "") + (gapBytes === 1 && messages.length > 0 ? "\n" : ""),
  );
  const boundaries = { lengths: encoded.map(({ length }) => length), gapBytes } as const;
  return { body, redacted: redactBody(body, scanner.scan(body, boundaries), boundaries), gapBytes };
}

function messagesOf({ redacted, gapBytes }: ReturnType<typeof redactBatch>): Uint8Array[] {
  let offset = 0;
  return Array.from(redacted.lengths, (length) => {
    const message = redacted.body.subarray(offset, offset + length);
    offset += length + gapBytes;
    return message;
  });
}

const batch = [
  "nothing here",
  '{"mail":"anna@example.com","card":4111111111111111,"list":[4111111111111111, -4222222222222 ]}',
  "",
  "ssn 123-45-6789, from 10.0.0.1 and 10.0.0.2",
  "last",
];

test("puts a token in the place of each finding, in both framings", () => {
  const expected = [
    "nothing here",
    '{"mail":"[EMAIL]","card":"[CARD]","list":["[CARD]", "[CARD]" ]}',
    "",
    "ssn [SSN], from [IP] and [IP]",
    "last",
  ];
  for (const gapBytes of [0, 1] as const) {
    const result = redactBatch(batch, gapBytes);
    assert.deepEqual(
      messagesOf(result).map((bytes) => decoder.decode(bytes)),
      expected,
    );
    assert.equal(result.redacted.body.length, expected.join("").length + gapBytes * expected.length);
  }
});

test("says for each finding where its token stands", () => {
  const result = redactBatch(batch, 1);
  const messages = messagesOf(result);
  const { rows, types, starts, tokenLengths } = result.redacted;
  const shown = Array.from(rows, (row, i) => {
    const start = starts[i] as number;
    return [
      row,
      types[i],
      decoder.decode(messages[row]?.subarray(start, start + (tokenLengths[i] as number))),
    ];
  });
  assert.deepEqual(shown, [
    [1, 1, "[EMAIL]"],
    [1, 3, "[CARD]"],
    [1, 3, "[CARD]"],
    [1, 3, "[CARD]"],
    [3, 5, "[SSN]"],
    [3, 6, "[IP]"],
    [3, 6, "[IP]"],
  ]);
});

test("gives the body itself back when nothing is found", () => {
  const { body, redacted } = redactBatch(["nothing", "at all"], 1);
  assert.equal(redacted.body, body);
  assert.equal(redacted.rows.length, 0);
});

test("writes to the memory given when it is large enough", () => {
  const body = Buffer.from("anna@example.com");
  const boundaries = { lengths: [body.length], gapBytes: 0 } as const;
  const findings = scanner.scan(body, boundaries);
  const large = new Uint8Array(64);
  assert.equal(redactBody(body, findings, { ...boundaries, output: large }).body.buffer, large.buffer);
  const small = redactBody(body, findings, { ...boundaries, output: new Uint8Array(2) });
  assert.equal(decoder.decode(small.body), "[EMAIL]");
});

test("gives quotes only to a whole number of JSON outside of strings", () => {
  const card = "4111111111111111";
  const unquoted = [
    `{"t":"a:${card},b"}`,
    `{"t":"\\",${card},"}`,
    `x:${card},`,
    `{note} ${card}`,
    `{"a": ${card} 12}`,
  ];
  for (const text of unquoted) assert.equal(redactText(text), text.replace(card, "[CARD]"));
  for (const text of [`{"a":${card}}`, ` [ ${card} ]`, `{"a":"x\\\\","b":${card}}`, `{"a":-${card},"b":1}`]) {
    assert.equal(redactText(text), text.replace(/-?4111111111111111/, '"[CARD]"'));
    assert.doesNotThrow(() => JSON.parse(redactText(text)) as unknown);
  }
});

const values = [
  "anna@example.com",
  "4111 1111 1111 1111",
  "+49 30 1234567",
  "::1",
  "fe80::1",
  "10.0.0.1",
  "é",
  "\n",
  "<",
];
const leaf = fc.oneof(
  fc.constantFrom(4111111111111111, -4222222222222, 12.5, true, null),
  fc
    .array(fc.constantFrom(...values, " ", "n", "\\", '"', "x"), { maxLength: 5 })
    .map((parts) => parts.join("")),
);

test("JSON stays JSON", () => {
  fc.assert(
    fc.property(
      fc.array(fc.dictionary(fc.string({ maxLength: 3 }), leaf, { maxKeys: 4 })),
      fc.boolean(),
      (list, isHtml) => {
        const text = JSON.stringify(list);
        const json = isHtml ? text.replaceAll("<", "\\u003c").replaceAll("é", "\\u00e9") : text;
        const redacted = redactText(json);
        assert.doesNotThrow(() => JSON.parse(redacted) as unknown, redacted);
      },
    ),
    { numRuns: 1_500, seed: 3 },
  );
});

test("a redacted text is the text with its findings cut out", () => {
  const piece = fc.constantFrom(...values, " ", "a", "1", ", ", "用户", "😀");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 10 }), (parts) => {
      const text = parts.join("");
      let expected = "";
      let read = 0;
      for (const { type, start, end } of detectText(text)) {
        expected += `${text.slice(read, start)}[${type}]`;
        read = end;
      }
      assert.equal(redactText(text), expected + text.slice(read));
    }),
    { numRuns: 1_500, seed: 4 },
  );
});

test("a body that is cut is the one that is copied, and its columns are the same", () => {
  const piece = fc.constantFrom(...values, '{"n":', "4111111111111111", "}", " ", "a", ", ");
  const message = fc.array(piece, { maxLength: 8 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(fc.array(message, { maxLength: 6 }), fc.constantFrom(0, 1), (messages, gapBytes) => {
      const { body, redacted } = redactBatch(messages, gapBytes);
      const boundaries = { lengths: messages.map((text) => Buffer.byteLength(text)), gapBytes };
      const {
        body: parts,
        bodyBytes,
        ...columns
      } = cutBody(body, scanner.scan(body, boundaries), boundaries);
      const { body: copied, ...copiedColumns } = redacted;
      assert.deepEqual(Buffer.concat(partsOf(parts)), Buffer.from(copied));
      assert.equal(bodyBytes, copied.length);
      assert.deepEqual(columns, copiedColumns);
    }),
    { numRuns: 500, seed: 5 },
  );
});
