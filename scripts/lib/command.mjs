import { spawn } from "node:child_process";
import { root } from "./places.mjs";
import { SetupError } from "./progress.mjs";

/**
 * Runs a program with its output kept back.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<{ code: number, output: string }>} code 127 when the program is not there
 */
export function runQuietly(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? root,
      env: options.env ?? process.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const keep = (/** @type {string} */ part) => {
      output = (output + part).slice(-outputCharsMax);
    };
    child.stdout.setEncoding("utf8").on("data", keep);
    child.stderr.setEncoding("utf8").on("data", keep);
    child.once("error", (error) => resolve({ code: 127, output: error.message }));
    child.once("close", (code, signal) => {
      resolve({ code: code ?? 1, output: signal ? `${output}\nended by ${signal}` : output });
    });
  });
}

const outputCharsMax = 1_000_000;

/**
 * Runs a program that has to succeed; its output is shown when it does not.
 *
 * @param {string} what it is for, in the infinitive
 * @param {[string, ...string[]]} line the program and its arguments
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, help?: string }} [options]
 */
export async function mustRun(what, [command, ...args], options = {}) {
  const { code, output } = await runQuietly(command, args, options);
  if (code === 0) return;
  const shown = output.trim().split("\n").slice(-linesShownMax).join("\n");
  throw new SetupError(
    `${shown}\nset-up: cannot ${what} (exit code ${code}). ${options.help ?? ""}`.trimEnd(),
  );
}

const linesShownMax = 60;
