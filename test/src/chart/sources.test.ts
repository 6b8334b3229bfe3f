import assert from "node:assert/strict";
import test from "node:test";
import { podsOf } from "./objects.js";
import { configOf } from "./policies/grace.js";
import { render } from "./render.js";

test("ingestion scales on the lag of sources, and mounts the Secret that they may name", async () => {
  const values = { ingestion: { replicas: 3 }, secrets: { existingSecret: "peers" } };
  const objects = await render({ values });
  const scaled = objects.find(
    ({ kind, metadata }) => kind === "HorizontalPodAutoscaler" && metadata.name.endsWith("-ingestion"),
  );
  const text = JSON.stringify(scaled);
  assert.match(text, /"name":"source_lag_seconds"/);
  assert.match(text, /"name":"source_lag_messages"/);
  const mounting = podsOf(objects).filter((pod) => JSON.stringify(pod).includes('"secretName":"peers"'));
  assert.deepEqual(mounting.map(({ service }) => service).sort(), ["ingestion", "output"]);
  for (const pod of mounting) {
    const { secretsDir } = configOf(objects, pod) as { secretsDir?: string };
    assert.equal(secretsDir, "/etc/millrace/secrets");
  }
});
