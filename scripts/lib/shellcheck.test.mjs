import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { runQuietly } from "./command.mjs";
import { root } from "./places.mjs";
import { obtainShellcheck } from "./shellcheck.mjs";

const scripts = ["e2e/kind.sh", ".ci/run"].filter((name) => existsSync(join(root, name)));

test("shell scripts pass shellcheck", async () => {
  assert.ok(scripts.includes("e2e/kind.sh"));
  const { code, output } = await runQuietly(await obtainShellcheck(), scripts);
  assert.equal(code, 0, output);
});

test("it finds what is wrong with one", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-shell-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "bad.sh"), "#!/bin/sh\nfor f in $(ls *.txt); do rm $f; done\n");
  const { code, output } = await runQuietly(await obtainShellcheck(), [join(folder, "bad.sh")]);
  assert.equal(code, 1);
  assert.match(output, /SC2086/);
});
