import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { connect, type ConnectOptions, createStreamProcessor } from "@millrace/sdk";
import {
  createAuthority,
  freePort,
  type NatsServer,
  type ServiceProcess,
  startNats,
  startService,
  type TestAuthority,
} from "@millrace/testkit";

const program = fileURLToPath(new URL("../../../cli/bin/millrace.mjs", import.meta.url));
const hash = (token: string): string => createHash("sha256").update(token).digest("hex");

/** The broker, buffer and gateway as in a cluster: nothing in the clear, and nobody unknown. */
describe("a pipeline that is closed by TLS", () => {
  let dir: string;
  let authority: TestAuthority;
  let nats: NatsServer;
  let address: string;
  const services: ServiceProcess[] = [];

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "millrace-tls-"));
    authority = await createAuthority(join(dir, "ca"));
    nats = await startNats({ authority });
    const tokensFile = join(dir, "tokens.json");
    await writeFile(
      tokensFile,
      JSON.stringify({ tokens: [{ name: "app", sha256: hash("app"), role: "user" }] }),
    );
    const [grpcPort, bufferPort] = [await freePort(), await freePort()];
    const start = async (name: string, config: object): Promise<void> => {
      const tls = await authority.issue(name);
      const given = { nats: { url: nats.url, monitorUrl: nats.monitorUrl }, tls, ...config };
      services.push(await startService({ name, dir, config: given }));
    };
    await start("buffer", {
      grpc: { port: bufferPort },
      segments: { rawDir: join(dir, "raw"), cleanDir: join(dir, "clean") },
    });
    const { certFile, keyFile } = await authority.issue("public", { dns: ["gateway.example"], ips: [] });
    await start("gateway", {
      grpc: { port: grpcPort, tls: { certFile, keyFile } },
      buffer: { address: `127.0.0.1:${bufferPort}` },
      auth: { tokensFile },
    });
    address = `127.0.0.1:${grpcPort}`;
  });
  after(async () => {
    for (const service of services.toReversed()) await service.stop();
    await nats.stop();
    await rm(dir, { recursive: true });
  });

  const serverName = "gateway.example";
  const open = (more: ConnectOptions) =>
    connect({
      address,
      deadlineMs: 5_000,
      tls: { caFile: authority.caFile, serverName },
      token: "app",
      ...more,
    });
  const list = async (more: ConnectOptions): Promise<number> => {
    await using client = open(more);
    let count = 0;
    for await (const _ of client.streams.list()) count += 1;
    return count;
  };

  it("takes messages of a caller with a token, through buffer to the broker", async () => {
    await using client = open({});
    await using stream = await createStreamProcessor("closed", client);
    await stream.publish({ text: "behind closed doors" });
    assert.equal(await list({}), 1);
  });

  it("refuses a caller with no token or a wrong one, and says what is missing", async () => {
    for (const token of [undefined, "App"]) {
      const given = { address, tls: { caFile: authority.caFile, serverName }, deadlineMs: 5_000 };
      await using client = connect(token === undefined ? given : { ...given, token });
      await assert.rejects(client.streams.get("closed"), { code: "unauthenticated", field: "authorization" });
    }
  });

  it("is reached by the commands, which take a token from a file or the environment alone", async () => {
    const tokenFile = join(dir, "token");
    await writeFile(tokenFile, "app\n");
    const run = async (args: string[], env: Record<string, string>) => {
      const options = ["status", "--address", address, "--server-name", serverName, ...args];
      const child = spawn(process.execPath, [program, ...options], {
        env: { ...process.env, MILLRACE_CA_FILE: authority.caFile, ...env },
        stdio: ["ignore", "pipe", "pipe"],
      });
      const [out, err] = [text(child.stdout), text(child.stderr)];
      const [code] = await once(child, "exit");
      return { code, out: await out, err: await err };
    };
    for (const [args, env] of [
      [["--token-file", tokenFile], {}],
      [[], { MILLRACE_TOKEN: "app" }],
    ] as const) {
      const { code, out, err } = await run([...args], env);
      assert.deepEqual([code, err], [0, ""]);
      assert.match(out, /closed/);
    }
    assert.match((await run([], {})).err, /no token.*authorization: Bearer/s);
    assert.match((await run(["--token-file", join(dir, "none")], {})).err, /--token-file.*Name a file/s);
    assert.equal((await run(["--token", "app"], {})).code, 2);
    assert.equal((await run(["--auth-token", "app"], {})).code, 2);
  });
});
