import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { parse } from "yaml";
import { workspace } from "../system/supplies.js";
import { render } from "./render.js";

const read = (name: string): object =>
  parse(readFileSync(join(workspace, "e2e", "values", name), "utf8")) as object;
const { gateway, ...everywhere } = read("every-profile.yaml") as { gateway: object };

for (const profile of ["small", "production"]) {
  test(`what the end-to-end test sets is rendered in profile ${profile}`, async () => {
    const { gateway: more = {}, ...own } = read(`${profile}.yaml`) as { gateway?: object };
    const objects = await render({ values: { ...everywhere, ...own, gateway: { ...gateway, ...more } } });
    const service = objects.find(
      ({ kind, metadata }) => kind === "Service" && metadata.name.endsWith("-gateway"),
    );
    assert.equal((service?.["spec"] as { type?: string } | undefined)?.type, "NodePort");
    const settings = objects.find(
      ({ kind, metadata }) => kind === "ConfigMap" && metadata.name.endsWith("-ingestion"),
    );
    assert.match(JSON.stringify(settings), /roots/);
    const scaled = objects.filter(({ kind }) => kind === "HorizontalPodAutoscaler");
    assert.equal(scaled.length, 6);
  });
}
