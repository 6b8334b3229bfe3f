/**
 * Has a model fetched, for those that may not import this package: tests of services.
 *
 *     node cli/dist/models/pull-main.js [task | name]   tries on stderr, the PulledModel as JSON on stdout
 *
 * Without either it is the text model; a name may be that of an opt-in model.
 */
import { fileURLToPath } from "node:url";
import { CodedError } from "@millrace/errors";
import { cacheDir, manifestPath } from "./cache-dir.js";
import { readManifest } from "./manifest.js";
import { pullModels } from "./pull.js";
import { resolveModel } from "./resolve-model.js";
import { resolveTextModel } from "./resolve-text-model.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
try {
  const [wanted] = process.argv.slice(2);
  const request = {
    manifestPath: manifestPath(root),
    cacheDir: cacheDir(root, process.env),
    log: (line: string): void => void process.stderr.write(`${line}\n`),
  };
  const isName = (await readManifest(request.manifestPath)).some(({ name }) => name === wanted);
  const model = await (wanted === undefined
    ? resolveTextModel(request)
    : isName
      ? pullModels({ ...request, only: [wanted] }).then(([pulled]) => pulled)
      : resolveModel(wanted, request));
  if (model === undefined) throw new CodedError("not_found", `pull a ${wanted} model: none could be had`);
  process.stdout.write(`${JSON.stringify(model)}\n`);
} catch (caught) {
  process.stderr.write(`${CodedError.from(caught, "pull a model").toString()}\n`);
  process.exitCode = 1;
}
