/**
 * Has the text model fetched, for those that may not import this package: tests and image builds.
 *
 *     node cli/dist/models/pull-main.js   tries on stderr, the PulledModel as JSON on stdout
 */
import { fileURLToPath } from "node:url";
import { CodedError } from "@millrace/errors";
import { cacheDir, manifestPath } from "./cache-dir.js";
import { resolveTextModel } from "./resolve-text-model.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
try {
  const model = await resolveTextModel({
    manifestPath: manifestPath(root),
    cacheDir: cacheDir(root, process.env),
    log: (line) => process.stderr.write(`${line}\n`),
  });
  process.stdout.write(`${JSON.stringify(model)}\n`);
} catch (caught) {
  process.stderr.write(`${CodedError.from(caught, "pull the text model").toString()}\n`);
  process.exitCode = 1;
}
