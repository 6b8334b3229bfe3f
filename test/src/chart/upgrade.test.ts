/**
 * What an upgrade changes, without a cluster: in a copy of the chart, lookups of Secrets read the values,
 * where the Secrets of the rendering before are put.
 */
import assert from "node:assert/strict";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { type KubeObject, ofKind, titleOf } from "./objects.js";
import { chartFolder, render, type Rendering } from "./render.js";

const copy = await mkdtemp(join(tmpdir(), "millrace-upgrade-"));
test.after(() => rm(copy, { recursive: true, force: true }));
await cp(chartFolder, copy, { recursive: true });
// The schema knows no value for what is kept.
await rm(join(copy, "values.schema.json"));
const templates = join(copy, "templates");
let replaced = 0;
for (const name of await readdir(templates)) {
  if (!/\.(tpl|yaml)$/.test(name)) continue;
  const text = await readFile(join(templates, name), "utf8");
  const read = text.replaceAll(
    /lookup "v1" "Secret" (?:\(include "millrace\.namespace" (\S+)\)|\$namespace) (\S+)/g,
    (_, root: string | undefined, key: string) => {
      replaced += 1;
      const values = root === undefined ? "$.Values" : `${root === "." ? "" : root}.Values`;
      return `get (default dict ${values}.kept) ${key}`;
    },
  );
  assert.doesNotMatch(read.replaceAll(/\{\{-?\s*\/\*[\s\S]*?\*\//g, ""), /lookup "v1" "Secret"/, name);
  await writeFile(join(templates, name), read);
}

const upgrade = (before: readonly KubeObject[], rendering: Rendering = {}): Promise<KubeObject[]> => {
  const kept = Object.fromEntries(ofKind(before, "Secret").map((secret) => [secret.metadata.name, secret]));
  return render({ ...rendering, chart: copy, values: { ...(rendering.values as object), kept } });
};
const changes = (before: readonly KubeObject[], after: readonly KubeObject[]): string[] =>
  after.filter((object, at) => JSON.stringify(object) !== JSON.stringify(before[at])).map(titleOf);

test("lookups of all that is made were found", () => {
  assert.ok(replaced >= 4, `${replaced} lookups`);
});

for (const profile of ["small", "production"]) {
  test(`an upgrade without a change changes no object of profile ${profile}`, async () => {
    const before = await render({ chart: copy, values: { profile } });
    const after = await upgrade(before, { values: { profile } });
    assert.deepEqual(changes(before, after), []);
    assert.deepEqual(changes(before, await upgrade(after, { values: { profile } })), []);
  });
}

test("a name more makes only the certificate anew that has to bear it", async () => {
  const before = await render({ chart: copy });
  const after = await upgrade(before, { values: { gateway: { tls: { dnsNames: ["api.example"] } } } });
  assert.deepEqual(changes(before, after), ["Secret/m-millrace-gateway-public-tls"]);
});

test("a lost certificate is made anew by the same CA, a lost key or token alone", async () => {
  const before = await render({ chart: copy });
  for (const name of ["m-millrace-privacy-tls", "m-millrace-auth", "m-millrace-pseudonyms"]) {
    const after = await upgrade(before.filter(({ metadata }) => metadata.name !== name));
    assert.deepEqual(changes(before, after), [`Secret/${name}`]);
  }
});

test("a lost CA makes every certificate anew", async () => {
  const before = await render({ chart: copy });
  const after = await upgrade(before.filter(({ metadata }) => metadata.name !== "m-millrace-ca"));
  const certificates = ofKind(before, "Secret").filter(({ type }) => type === "kubernetes.io/tls");
  assert.ok(certificates.length > 8);
  const changed = changes(before, after);
  assert.deepEqual(
    certificates.map(titleOf).filter((title) => !changed.includes(title)),
    [],
  );
});
