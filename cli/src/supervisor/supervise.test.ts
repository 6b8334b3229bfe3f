import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import test, { type TestContext } from "node:test";
import { CodedError } from "@millrace/errors";
import { deaf, freePort, isRunning, pause, until, wellBehaved, workbench } from "./testing.js";

test("programs start in order and stop in reverse", async (t) => {
  const { program, supervise, printed } = workbench(t);
  const names = ["broker", "buffer", "gateway"];
  const supervisor = supervise(names.map((name) => program(name, wellBehaved)));
  await supervisor.start();
  assert.deepEqual(printed, ["broker: up", "buffer: up", "gateway: up"]);
  assert.ok(supervisor.status().every(({ state, pid }) => state === "running" && isRunning(pid)));
  await supervisor.stop();
  assert.deepEqual(printed.slice(3), ["gateway: down", "buffer: down", "broker: down"]);
  await supervisor.ended;
});

test("the programs of a group start side by side", async (t) => {
  const { program, supervise } = workbench(t);
  // Each is ready only when the other runs: started one after the other, the first would never be.
  const [a, b] = [await freePort(), await freePort()];
  const meets = (own: number, other: number) => `
    require("node:net").createServer().listen(${own}, "127.0.0.1");
    const knock = () => require("node:net").connect(${other}, "127.0.0.1", () => console.log("up"))
      .on("error", () => setTimeout(knock, 20));
    knock();`;
  const supervisor = supervise([[program("one", meets(a, b)), program("two", meets(b, a))]]);
  await supervisor.start();
  assert.deepEqual(
    supervisor.status().map(({ state }) => state),
    ["running", "running"],
  );
});

test("a program that ends before it is ready is named with its exit code and last lines", async (t) => {
  const { program, supervise, printed } = workbench(t);
  const failing = `console.error("cannot read its config"); process.exitCode = 3;`;
  const supervisor = supervise([program("broker", wellBehaved), program("privacy", failing)]);
  await assert.rejects(supervisor.start(), (error: unknown) => {
    assert.ok(error instanceof CodedError);
    assert.match(error.message, /start privacy: it ended with code 3 before it was ready/);
    assert.match(error.message, /cannot read its config/);
    return true;
  });
  assert.equal(printed.at(-1), "broker: down");
});

test("a command that cannot be run is an error at start", async (t) => {
  const { supervise } = workbench(t);
  const ready = { kind: "line", pattern: /up/ } as const;
  const supervisor = supervise([{ name: "broker", command: "/no/such/file", args: [], ready }]);
  await assert.rejects(supervisor.start(), { message: /start broker: it ended with code 127.*\n.*ENOENT/ });
});

test("a program that does not get ready in time is ended", async (t) => {
  const { program, supervise } = workbench(t);
  const port = await freePort();
  const ready = { kind: "tcp", host: "127.0.0.1", port } as const;
  const slow = program("slow", "setInterval(() => {}, 1000)", { ready, readyTimeoutMs: 200 });
  const supervisor = supervise([slow]);
  await assert.rejects(supervisor.start(), {
    message: /start slow: not ready after 0\.2 s: 127\.0\.0\.1:\d+ did not/,
  });
  assert.equal(isRunning(supervisor.status()[0]?.pid), false);
});

test("a port in use that the program meets is named", async (t) => {
  const { program, supervise } = workbench(t);
  const port = await takenPort(t);
  const listening = `require("node:net").createServer().listen(${port}, "127.0.0.1");`;
  const supervisor = supervise([program("gateway", listening)]);
  await assert.rejects(supervisor.start(), {
    code: "failed_precondition",
    message: `start gateway: port ${port} is in use by another process`,
    remedy: /lsof -i/,
  });
});

test("a stranger who answers at the program's address is not taken for it", async (t) => {
  const { program, supervise } = workbench(t);
  const port = await takenPort(t);
  for (const ready of [
    { kind: "tcp", host: "127.0.0.1", port },
    { kind: "http", url: `http://127.0.0.1:${port}/health` },
  ] as const) {
    const supervisor = supervise([program("gateway", wellBehaved, { ready })]);
    await assert.rejects(supervisor.start(), { message: new RegExp(`port ${port} is in use`) });
  }
});

test("an HTTP address is waited for until it answers 200", async (t) => {
  const { program, supervise, printed } = workbench(t);
  const port = await freePort();
  const serving = `let seen = 0;
    require("node:http").createServer((_, response) => {
      response.statusCode = ++seen < 3 ? 503 : 200;
      console.log("answered " + response.statusCode);
      response.end();
    }).listen(${port}, "127.0.0.1");`;
  const ready = { kind: "http", url: `http://127.0.0.1:${port}/ready` } as const;
  await supervise([program("gateway", serving, { ready })]).start();
  assert.deepEqual(printed.slice(0, 3), [
    "gateway: answered 503",
    "gateway: answered 503",
    "gateway: answered 200",
  ]);
});

test("a program that does not stop is killed after its time", async (t) => {
  const { program, supervise, printed, logged } = workbench(t);
  const supervisor = supervise([program("deaf", deaf, { stopTimeoutMs: 100 })]);
  await supervisor.start();
  const pid = supervisor.status()[0]?.pid;
  await supervisor.stop();
  assert.deepEqual(printed, ["deaf: up", "deaf: asked"]);
  assert.match(logged.join(), /deaf: did not stop within 0\.1 s and is killed/);
  assert.equal(isRunning(pid), false);
});

test("kill ends programs that are being stopped, with what they started", async (t) => {
  const { program, supervise, printed } = workbench(t);
  const parent = `const { spawn } = require("node:child_process");
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    console.log("child " + child.pid); ${deaf}`;
  const supervisor = supervise([program("deaf", parent)]);
  await supervisor.start();
  const pids = [supervisor.status()[0]?.pid, Number(printed[0]?.split(" ").at(-1))];
  const stopping = supervisor.stop();
  supervisor.kill();
  await stopping;
  await until(() => !pids.some(isRunning));
});

test("a stop during the start ends it", async (t) => {
  const { program, supervise } = workbench(t);
  const never = program("never", "console.log('begun'); setInterval(() => {}, 1000)");
  const supervisor = supervise([never, program("after", wellBehaved)]);
  const starting = supervisor.start();
  await until(() => supervisor.status()[0]?.state === "starting");
  await supervisor.stop();
  await assert.rejects(starting, { code: "canceled" });
  assert.equal(supervisor.status()[1]?.pid, undefined);
});

test("a program that ends is started again after growing waits", async (t) => {
  const { program, supervise, logged } = workbench(t);
  const waits: number[] = [];
  const sleep = async (ms: number) => void waits.push(ms);
  const clock = { monotonic: () => 0, sleep };
  const supervisor = supervise([program("frail", wellBehaved)], { clock });
  await supervisor.start();
  for (let restarts = 1; restarts <= 3; restarts++) {
    process.kill(supervisor.status()[0]?.pid ?? 0, "SIGKILL");
    await until(() => logged.filter((line) => line === "frail: runs again").length === restarts);
  }
  assert.deepEqual(waits, [250, 500, 1_000]);
  assert.equal(supervisor.status()[0]?.restarts, 3);
});

test("a program that keeps ending is given up, and the others are stopped", async (t) => {
  const { program, supervise, printed } = workbench(t);
  const marker = `const fs = require("node:fs"), mark = __filename + ".ran";
    if (fs.existsSync(mark)) { console.error("state is damaged"); process.exit(1); }
    fs.writeFileSync(mark, ""); console.log("up"); setTimeout(() => process.exit(1), 50);`;
  const restart = { firstMs: 1, mostMs: 1, steadyMs: 30_000, restartsMax: 3, windowMs: 60_000 };
  const clock = { monotonic: () => performance.now(), sleep: pause };
  const supervisor = supervise([program("broker", wellBehaved), program("frail", marker)], {
    restart,
    clock,
  });
  await supervisor.start();
  await assert.rejects(supervisor.ended, {
    message: new RegExp(
      "frail: it ended more than 3 times within 60 s and is given up; " +
        "it ended with code 1[^]*state is damaged",
    ),
  });
  assert.equal(printed.at(-1), "broker: down");
});

async function takenPort(t: TestContext): Promise<number> {
  const server = createServer((socket) => socket.on("error", () => {})).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}
