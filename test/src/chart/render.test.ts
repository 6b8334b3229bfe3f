import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { parse } from "yaml";
import { workspace } from "../system/supplies.js";
import { valueMatrix } from "./matrix.js";
import { type KubeObject, titleOf } from "./objects.js";
import { chartFolder, helm, parseObjects, render, tools, twoAtATime } from "./render.js";
import { schemaCheck } from "./schemas.js";

const { schemas } = await tools();
const versions = Object.keys(schemas);
const [oldest = "", newest = ""] = [versions[0], versions.at(-1)];

/** Each value that is made at random or signed, as what it is for: two renderings never have the same. */
function steady(objects: readonly KubeObject[]): KubeObject[] {
  return objects.map((object) => {
    if (object.kind === "APIService") return { ...object, spec: { ...object.spec, caBundle: "made" } };
    if (object.kind !== "Secret") return object;
    return {
      ...object,
      data: Object.fromEntries(Object.keys(object.data ?? {}).map((key) => [key, "made"])),
    };
  });
}

/** Of each set of values, by both Helms: kept for two tests, since rendering is what takes time. */
const rendered = await renderAll();

function renderAll(): Promise<KubeObject[][]> {
  const renderings = valueMatrix.flatMap((rendering) => [
    { ...rendering, helm: 3 as const },
    { ...rendering, helm: 4 as const },
  ]);
  return twoAtATime(renderings, render);
}

test("both Helms render the same objects of each set of values", () => {
  for (const [at, { name }] of valueMatrix.entries()) {
    const [three, four] = [rendered[2 * at] ?? [], rendered[2 * at + 1] ?? []];
    // They order what they print by rules of their own.
    const sorted = (objects: readonly KubeObject[]) =>
      steady(objects).sort((a, b) => order(a).localeCompare(order(b)));
    assert.deepEqual(sorted(three), sorted(four), name);
    assert.ok(three.length > 20, `${name}: only ${three.length} objects`);
  }
});

const order = (object: KubeObject): string => `${object.apiVersion} ${titleOf(object)}`;

test("each object passes the strict schemas of several Kubernetes versions", () => {
  const checks = versions.map((version) => ({ version, check: schemaCheck(schemas[version] ?? "") }));
  for (const [at, { name }] of valueMatrix.entries()) {
    for (const { version, check } of checks) {
      assert.deepEqual((rendered[2 * at + 1] ?? []).flatMap(check), [], `${name}, Kubernetes ${version}`);
    }
  }
});

test("the oldest Kubernetes that the chart takes is the oldest it is checked with", async () => {
  const chart = parse(readFileSync(join(chartFolder, "Chart.yaml"), "utf8")) as { kubeVersion: string };
  assert.equal(chart.kubeVersion, `>=${oldest}-0`);
  for (const helmMajor of [3, 4] as const) {
    const older = await helm("template", { helm: helmMajor, kubeVersion: "1.29.0" });
    assert.match(older.stderr, /kubeVersion|incompatible with Kubernetes/);
    for (const kubeVersion of [oldest, newest]) {
      assert.equal((await helm("template", { helm: helmMajor, kubeVersion })).code, 0);
    }
  }
});

test("helm lint --strict of both Helms finds nothing to say of either profile", async () => {
  const runs = ([3, 4] as const).flatMap((major) =>
    ["small", "production"].map((profile) => ({ helm: major, values: { profile } })),
  );
  for (const run of await twoAtATime(runs, (rendering) => helm("lint", rendering))) {
    assert.equal(run.code, 0, run.stdout + run.stderr);
    assert.doesNotMatch(run.stdout, /\[(WARNING|ERROR)\]/);
  }
});

test("the chart and its application are of the version of the packages", () => {
  const chart = parse(readFileSync(join(chartFolder, "Chart.yaml"), "utf8")) as Record<string, string>;
  const { version } = JSON.parse(readFileSync(join(workspace, "package.json"), "utf8")) as {
    version: string;
  };
  assert.equal(chart["version"], version);
  assert.equal(chart["appVersion"], version);
});

test("rendered twice, nothing differs but what is made and, in a cluster, looked up", async () => {
  const [first, second] = await twoAtATime([{}, {}], render);
  const made = (first ?? []).filter((object, at) => JSON.stringify(object) !== JSON.stringify(second?.[at]));
  assert.deepEqual(made.filter(({ kind }) => kind !== "Secret" && kind !== "APIService").map(titleOf), []);
  assert.deepEqual(steady(first ?? []), steady(second ?? []));
});

test("a rendering is read document by document", () => {
  const text = "# a\n---\n---\nkind: A\nmetadata: { name: a }\n---\nkind: B\nmetadata: { name: b }\n";
  assert.deepEqual(parseObjects(text).map(titleOf), ["A/a", "B/b"]);
  assert.throws(() => parseObjects("kind: A\nkind: B\n"));
});
