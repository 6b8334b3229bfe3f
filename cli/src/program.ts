import type { Readable, Writable } from "node:stream";
import { Command, CommanderError } from "commander";
import type { World } from "./commands/client.js";
import { createOutput } from "./output.js";

export interface RunOptions {
  /** Arguments behind the command's name. */
  args: readonly string[];
  stdin: Readable & { isTTY?: boolean };
  stdout: Writable;
  stderr: Writable;
  /** Fires at Ctrl-C. */
  signal: AbortSignal;
  commands: readonly ((world: World) => Command)[];
}

/** Runs one command to its end. 0: done; 1: it failed; 2: it was called wrongly. */
export async function runProgram(options: RunOptions): Promise<number> {
  const { args, stdin, stdout, stderr, commands } = options;
  const output = createOutput(stdout, stderr);
  const signal = AbortSignal.any([options.signal, output.closed]);
  const program = new Command("millrace")
    .description("live data into searchable, private, learning streams")
    .helpCommand(true);
  for (const create of commands) program.addCommand(create({ output, stdin, signal }));
  for (const command of withNested(program)) {
    command
      .exitOverride()
      .configureOutput({ writeOut: (text) => stdout.write(text), writeErr: (text) => stderr.write(text) });
  }
  try {
    await program.parseAsync([...args], { from: "user" });
    return 0;
  } catch (caught) {
    if (caught instanceof CommanderError) {
      const isHelp = caught.code === "commander.helpDisplayed" || caught.code === "commander.version";
      return isHelp ? 0 : 2;
    }
    if (output.closed.aborted) return 0;
    output.error(caught);
    return 1;
  }
}

/** A command that was made by itself inherits nothing. */
function withNested(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withNested)];
}
