import assert from "node:assert/strict";
import test from "node:test";
import { settingComments } from "./setting-comments.mjs";
import { leavesOf, readProfile, readValuesFile } from "./values-file.mjs";

test("fields of values bear the comment above them, and maps without one are groups", () => {
  const fields = readValuesFile(
    [
      "# A heading of the file.",
      "",
      "# About names,",
      "# -- Of all objects,",
      "# in two lines.",
      'name: ""',
      "# The broker.",
      "nats:",
      "  # -- Servers.",
      "  replicas: null",
      "  # -- A value as a whole.",
      "  resources: { limits: { memory: 1Gi } }",
    ].join("\n"),
  );
  assert.deepEqual(
    leavesOf(fields).map(({ path, description, value }) => [path.join("."), description, value]),
    [
      ["name", "Of all objects, in two lines.", ""],
      ["nats.replicas", "Servers.", null],
      ["nats.resources", "A value as a whole.", { limits: { memory: "1Gi" } }],
    ],
  );
});

test("a value without a comment is refused by its path", () => {
  assert.throws(() => readValuesFile("nats:\n  # Servers.\n  replicas: 1\n"), {
    message: 'values.yaml: nats.replicas has no comment; write "# -- text" above it',
  });
});

test("a profile is read by path, groups as well", () => {
  const profile = readProfile("gateway:\n  replicas: 2\n  resources: { limits: { memory: 1Gi } }\n");
  assert.equal(profile.get("gateway.replicas"), 2);
  assert.deepEqual(profile.get("gateway.resources"), { limits: { memory: "1Gi" } });
});

test("comments of settings are found by path, also those of what is spread in", () => {
  const source = [
    "export const base = {",
    "  /** The least line. */",
    '  level: z.enum(["a"]),',
    "};",
    "export const aConfig = z.strictObject({",
    "  ...base,",
    "  segments: z",
    "    .strictObject({",
    "      /**",
    "       * Where they lie,",
    "       * in two lines.",
    "       */",
    "      dir: z.string(),",
    "    })",
    "    .prefault({}),",
    "  /** Last. */",
    "  last: z.int(),",
    "});",
  ].join("\n");
  const base = settingComments(source, {}, "base");
  assert.deepEqual(Object.fromEntries(settingComments(source, { base }, "aConfig")), {
    level: "The least line.",
    "segments.dir": "Where they lie, in two lines.",
    last: "Last.",
  });
});
