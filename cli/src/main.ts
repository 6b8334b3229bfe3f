#!/usr/bin/env node
import { allCommands } from "./commands/all-commands.js";
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
  commands: allCommands,
});
// A timer that is still running somewhere must not hold a command that has ended.
process.exit(exitCode);
