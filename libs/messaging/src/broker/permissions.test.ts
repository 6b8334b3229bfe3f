import assert from "node:assert/strict";
import { test } from "node:test";
import { natsWorkbench } from "../testing/index.js";
import { tryPermissions } from "../testing/try-permissions.js";
import { brokerUsers, permissionsOf } from "./permissions.js";
import { stageFilters } from "./subjects.js";

const bench = natsWorkbench();

for (const user of brokerUsers) {
  test(`${user}, known by its key, may do exactly what the design grants it`, async () => {
    const broker = await bench.connect(user);
    assert.deepEqual(await tryPermissions({ broker, user }), { passed: [], refused: [] });
  });
}

test("buffer may ask how much of a stream is left wherever its batches may lie", () => {
  const { publish } = permissionsOf("buffer");
  for (const { jetStream } of stageFilters("default", "s"))
    assert.ok(publish.includes(`$JS.API.STREAM.INFO.${jetStream}`), jetStream);
});

test("a connection without a key is refused", async () => {
  const { connect } = await import("@nats-io/transport-node");
  await assert.rejects(connect({ servers: bench.nats().url, reconnect: false }), /Authorization/);
});
