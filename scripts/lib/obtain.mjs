import { spawn } from "node:child_process";
import { cacheDir, root } from "./places.mjs";
import { SetupError, timed } from "./progress.mjs";

/**
 * What tests run against and never go without: a real nats-server and the text model. Both come from the
 * cache when they are there; the compiled commands know where from when they are not.
 *
 * @returns {Promise<{ natsServer: string }>} path of the executable
 */
export async function obtainForTests() {
  const server = await timed("nats-server", () => askCommand("cli/dist/broker/obtain-main.js"));
  await timed("text model", () => askCommand("cli/dist/models/pull-main.js"));
  return { natsServer: String(server.path) };
}

/**
 * Runs a command of ours that answers with one JSON object; what it tries is shown as it goes.
 *
 * @param {string} file relative to the checkout
 * @returns {Promise<Record<string, unknown>>}
 */
function askCommand(file) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [file], {
      cwd: root,
      env: { ...process.env, MILLRACE_CACHE_DIR: cacheDir() },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (part) => {
      output += part;
    });
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve(JSON.parse(output));
      else reject(new SetupError(`set-up: ${file} ended with code ${code}; its last line says what to do`));
    });
  });
}
