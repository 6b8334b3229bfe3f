import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { SegmentRange } from "@millrace/proto/batch";
import { createAuthority, type TestAuthority, testRuntime } from "../testing/index.js";
import type { TlsFiles } from "../tls/tls-files.js";
import { createRangeClient } from "./range-client.js";
import { createRangeServer } from "./range-server.js";

const runtime = testRuntime();
const never = new AbortController().signal;
const services = ["gateway", "ingestion", "buffer", "privacy", "inference", "semantic-search", "output"];
const readers = { raw: ["privacy"], clean: ["inference", "semantic-search", "output"] } as const;

let dir: string;
let authority: TestAuthority;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), "millrace-range-server-"));
  authority = await createAuthority(dir);
});
after(() => rm(dir, { recursive: true }));

for (const side of ["raw", "clean"] as const) {
  test(`bodies of the ${side} side go to those who may read them, and to nobody else`, async (t) => {
    let reads = 0;
    const server = createRangeServer({
      listen: { host: "127.0.0.1", port: 0 },
      reader: {
        read: async () => {
          reads += 1;
          return Buffer.from("body");
        },
      },
      side,
      tls: await authority.issue("buffer", { dns: ["buffer", "localhost"] }),
      log: runtime.log,
      node: "one",
      healthy: () => true,
    });
    await server.start?.();
    t.after(() => server.stop?.(never));
    const ask = async (address: string, tls?: TlsFiles): Promise<string> => {
      const client = createRangeClient({ peers: { one: address }, tls, runtime });
      const range = SegmentRange.create({ node: "one", log: `${side}/x` });
      const answer = await client.fetch(range).then(
        (body) => Buffer.from(body).toString(),
        (error: { code: string }) => error.code,
      );
      await client.stop?.(never);
      return answer;
    };
    const address = `127.0.0.1:${server.port()}`;
    const answers: Record<string, string> = {};
    for (const name of services) answers[name] = await ask(address, await authority.issue(name));
    const expected = services.map((name) => {
      const may = readers[side].some((reader) => reader === name);
      return [name, may ? "body" : "permission_denied"];
    });
    assert.deepEqual(answers, Object.fromEntries(expected));
    assert.equal(await ask(address), "unavailable");
    assert.equal(reads, readers[side].length);
    // As a headless service of a cluster is named.
    const named = `dns:///localhost:${server.port()}`;
    assert.equal(await ask(named, await authority.issue(readers[side][0])), "body");
  });
}
