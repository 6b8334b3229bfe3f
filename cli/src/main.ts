#!/usr/bin/env node
import { modelsCommand } from "./commands/models.js";
import { publishCommand } from "./commands/publish.js";
import { searchCommand } from "./commands/search.js";
import { statusCommand } from "./commands/status.js";
import { subscribeCommand } from "./commands/subscribe.js";
import { upCommand } from "./commands/up.js";
import { runProgram } from "./program.js";

const stopping = new AbortController();
process.once("SIGINT", () => stopping.abort());
process.once("SIGTERM", () => stopping.abort());

const exitCode = await runProgram({
  args: process.argv.slice(2),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: stopping.signal,
  commands: [statusCommand, publishCommand, searchCommand, subscribeCommand, modelsCommand, upCommand],
});
// A timer that is still running somewhere must not hold a command that has ended.
process.exit(exitCode);
