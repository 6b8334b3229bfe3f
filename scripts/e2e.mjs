import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { root } from "./lib/places.mjs";
import { runMain, SetupError, timed } from "./lib/progress.mjs";
import { setUp } from "./lib/setup.mjs";

// npm run e2e [-- steps…]: E2E_CLUSTER=kind, or the path of a kubeconfig. More in e2e/README.md.
await runMain(async () => {
  const steps = process.argv.slice(2);
  if (process.env.E2E_CLUSTER === "kind") return await run(join(root, "e2e", "kind.sh"), steps);
  await setUp();
  const load = process.env.E2E_LOAD_COMMAND;
  if (load !== undefined && load !== "") await loadImages(load);
  return await run(process.execPath, [join(root, "e2e", "dist", "main.js"), ...steps]);
});

/**
 * Builds the images and gives each archive to the command that brings it onto the cluster's nodes.
 *
 * @param {string} load
 */
async function loadImages(load) {
  const child = spawn(process.execPath, [join(root, "scripts", "image.mjs"), "--save"], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (part) => {
    output += part;
  });
  const [code] = await once(child, "close");
  if (code !== 0) throw new SetupError("e2e: the images could not be built");
  for (const archive of output.trim().split("\n")) {
    const loaded = await timed(`load ${archive}`, () => run("sh", ["-c", `${load} "$1"`, "sh", archive]));
    if (loaded !== 0) throw new SetupError(`e2e: ${load} ${archive} ended with code ${loaded}`);
  }
}

/**
 * @param {string} command
 * @param {string[]} args
 * @returns {Promise<number>}
 */
async function run(command, args) {
  const child = spawn(command, args, { cwd: root, stdio: "inherit" });
  // The terminal sends Ctrl-C to both; the child ends its own, then we end with it.
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill("SIGTERM"));
  const [code] = await once(child, "exit");
  return code ?? 1;
}
