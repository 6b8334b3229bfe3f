import assert from "node:assert/strict";
import { createServer } from "node:net";
import { PassThrough, Writable } from "node:stream";
import { test } from "node:test";
import { publishCommand } from "./commands/publish.js";
import { searchCommand } from "./commands/search.js";
import { statusCommand } from "./commands/status.js";
import { subscribeCommand } from "./commands/subscribe.js";
import { createOutput } from "./output.js";
import { runProgram } from "./program.js";

interface Ran {
  exitCode: number;
  stdout: string;
  stderr: string;
}

async function run(...args: string[]): Promise<Ran> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const exitCode = await runProgram({
    args,
    stdin: Object.assign(new PassThrough(), { isTTY: true }),
    stdout,
    stderr,
    signal: new AbortController().signal,
    commands: [statusCommand, publishCommand, searchCommand, subscribeCommand],
  });
  const read = (stream: PassThrough): string => String(stream.read() ?? "");
  return { exitCode, stdout: read(stdout), stderr: read(stderr) };
}

/** A port on which nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 1;
}

test("usage errors exit with 2 and say what is wrong", async () => {
  const wrong: [string[], RegExp][] = [
    [["search"], /missing required argument 'query'/],
    [["search", "x", "--min-score", "7"], /'7' is invalid\. Give a number from -1 to 1/],
    [["search", "x", "-n", "0"], /Give a whole number from 1 to 1000/],
    [["search", "x", "-n", "many"], /Give a whole number/],
    [["publish"], /missing required argument 'stream'/],
    [["publish", "live"], /give texts, --image, --file, or lines on stdin/],
    [["publish", "live", "a", "--file", "f"], /give one of texts, --image and --file/],
    [["publish", "live", "a", "--attribute", "colour"], /Give name=value/],
    [["subscribe", "live", "--from", "yesterday"], /Allowed choices are now, earliest/],
    [["status", "--colour"], /unknown option '--colour'/],
    [["stats"], /unknown command 'stats'/],
  ];
  for (const [args, message] of wrong) {
    const { exitCode, stdout, stderr } = await run(...args);
    assert.deepEqual([exitCode, stdout], [2, ""], args.join(" "));
    assert.match(stderr, message);
  }
});

test("help exits with 0 and names every option", async () => {
  const { exitCode, stdout } = await run("subscribe", "--help");
  assert.equal(exitCode, 0);
  for (const option of ["--from", "--token", "--source-id", "--json", "--address"])
    assert.ok(stdout.includes(option));
});

test("where no gateway listens each command fails with one line and exit code 1", async () => {
  const address = `127.0.0.1:${await closedPort()}`;
  for (const args of [
    ["status"],
    ["status", "live"],
    ["search", "x"],
    ["publish", "live", "a"],
    ["subscribe", "live"],
  ]) {
    const { exitCode, stdout, stderr } = await run(...args, "--address", address);
    assert.deepEqual([exitCode, stdout], [1, ""]);
    assert.match(stderr, /^error: .*no gateway answers .*\. Start Millrace, or check the address\.\n$/);
  }
});

test("a bad address is named with a remedy", async () => {
  const { exitCode, stderr } = await run("status", "--address", "nowhere");
  assert.equal(exitCode, 1);
  assert.equal(
    stderr,
    'error: address is "nowhere" (field: address). Give host and port, such as "127.0.0.1:7070".\n',
  );
});

test("a reader that leaves ends the output quietly", async () => {
  const gone = new Writable({
    write: (_chunk, _encoding, done) => done(Object.assign(new Error("write EPIPE"), { code: "EPIPE" })),
  });
  const output = createOutput(gone, new PassThrough());
  const closed = new Promise((resolve) => output.closed.addEventListener("abort", resolve));
  await output.line("a");
  await closed;
  await output.line("b");
});
