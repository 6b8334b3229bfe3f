import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Connection } from "@millrace/proto/kafka";
import { createSecrets } from "@millrace/runtime";
import { namedSettings, readConnection } from "./settings.js";

const fields = { at: "trigger.kafka.connection", suffix: "_secret" } as const;

test("a connection's secrets are read as they are now, and a missing one is told by its field", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "kafka-settings-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await Promise.all(["ca", "password"].map((name) => writeFile(join(dir, name), `${name} of ours\n`)));
  const of = { secrets: createSecrets({ dir }), clientId: "test", fields };
  const sasl = { mechanism: "scram-sha-512", username: "app", passwordSecret: "password" };
  const given = Connection.fromPartial({ bootstrapServers: ["a:1", "b:2"], tls: { caSecret: "ca" }, sasl });
  assert.deepEqual(await readConnection(namedSettings(given), of), {
    bootstrapServers: ["a:1", "b:2"],
    clientId: "test",
    tls: { ca: "ca of ours", cert: undefined, key: undefined },
    sasl: { mechanism: "scram-sha-512", username: "app", password: "password of ours" },
  });
  const plain = await readConnection(
    namedSettings(Connection.fromPartial({ bootstrapServers: ["a:1"] })),
    of,
  );
  assert.deepEqual([plain.tls, plain.sasl], [undefined, undefined]);
  const gone = Connection.fromPartial({
    bootstrapServers: ["a:1"],
    tls: { keySecret: "key", certSecret: "ca" },
  });
  await assert.rejects(readConnection(namedSettings(gone), of), {
    code: "not_found",
    field: "trigger.kafka.connection.tls.key_secret",
  });
});
