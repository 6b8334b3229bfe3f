import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import type { CodedError } from "@millrace/errors";
import type { Value } from "@millrace/proto/source";
import { createSecrets } from "./secrets.js";

const named = (name: string): Value => ({ kind: { $case: "secret", value: name } });
const text = (value: string): Value => ({ kind: { $case: "text", value } });

async function setUp(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), "secrets-"));
  t.after(() => rm(root, { recursive: true, force: true }));
  const dir = join(root, "secrets");
  await mkdir(dir);
  const refusal = (name: string) =>
    createSecrets({ dir })
      .valueOf(named(name), "headers.authorization")
      .then(
        () => "ok",
        (error: CodedError) => {
          assert.equal(error.field, "headers.authorization");
          assert.doesNotMatch(error.toString(), new RegExp(`${root}|hunter2`));
          return error.code;
        },
      );
  return { root, dir, refusal };
}

test("a secret is read again at each use, through a mount's links, without a last line feed", async (t) => {
  const { dir } = await setUp(t);
  const secrets = createSecrets({ dir });
  await mkdir(join(dir, "..2026"));
  await writeFile(join(dir, "..2026", "token"), "Bearer one\n");
  await symlink(join("..2026", "token"), join(dir, "token"));
  assert.equal(await secrets.valueOf(named("token"), "f"), "Bearer one");
  await writeFile(join(dir, "..2026", "token"), "Bearer two");
  assert.equal(await secrets.valueOf(named("token"), "f"), "Bearer two");
  assert.equal(await secrets.valueOf(text("plain"), "f"), "plain");
});

test("what cannot be a secret is refused by the setting's name, without path or content", async (t) => {
  const { root, dir, refusal } = await setUp(t);
  await writeFile(join(root, "outside"), "hunter2");
  await symlink(join(root, "outside"), join(dir, "link"));
  await mkdir(join(dir, "folder"));
  await writeFile(join(dir, "empty"), "\n");
  await writeFile(join(dir, "long"), "hunter2".repeat(10_000));
  await writeFile(join(dir, "binary"), Buffer.from([104, 0xff, 0xfe]));
  const refused = {
    "../outside": "invalid_argument",
    "a/b": "invalid_argument",
    ".hidden": "invalid_argument",
    "": "invalid_argument",
    missing: "not_found",
    link: "not_found",
    folder: "not_found",
    empty: "failed_precondition",
    long: "failed_precondition",
    binary: "failed_precondition",
  };
  for (const [name, code] of Object.entries(refused)) assert.equal(await refusal(name), code, name);
  await assert.rejects(createSecrets({ dir: undefined }).valueOf(named("token"), "f"), {
    code: "failed_precondition",
  });
  await assert.rejects(createSecrets({ dir }).valueOf(undefined, "f"), { code: "invalid_argument" });
});
