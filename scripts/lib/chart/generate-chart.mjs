import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { root } from "../places.mjs";
import { settingComments } from "./setting-comments.mjs";
import { ownSettings } from "./value-rules.mjs";
import { readProfile, readValuesFile } from "./values-file.mjs";
import { valuesReference } from "./values-reference.mjs";
import { valuesSchema } from "./values-schema.mjs";

/** @typedef {import("./values-reference.mjs").Settings} Settings */

const chart = join("helm", "millrace");
export const chartFiles = [join(chart, "values.schema.json"), join(chart, "README.md")];
const marks = { begin: "<!-- generated: values -->", end: "<!-- /generated -->" };
/** What services spread into their settings. */
const partNames = ["baseConfig", "nodeConfig", "readerConfig"];

/**
 * Writes what is made from the chart's values and the services' settings: the schema of the values and the
 * reference in the chart's README. The services have to be built.
 *
 * @param {string} base the checkout, or a folder to compare it with
 */
export async function generateChart(base) {
  const text = (/** @type {string[]} */ ...path) => readFileSync(join(root, ...path), "utf8");
  const fields = readValuesFile(text(chart, "values.yaml"));
  const profiles = ["small", "production"].map((name) => {
    return { name, values: readProfile(text(chart, "files", "profiles", `${name}.yaml`)) };
  });
  const settings = await readSettings();
  const schemas = new Map([...settings].map(([service, { schema }]) => [service, schema]));
  const schema = `${JSON.stringify(valuesSchema(fields, schemas), undefined, 2)}\n`;
  const reference = valuesReference({ fields, profiles, settings });
  const [schemaPath = "", readmePath = ""] = chartFiles;
  mkdirSync(dirname(join(base, schemaPath)), { recursive: true });
  writeFileSync(join(base, schemaPath), schema);
  writeFileSync(join(base, readmePath), between(text(readmePath), reference));
}

/**
 * @param {string} page
 * @param {string} made
 */
function between(page, made) {
  const begin = page.indexOf(marks.begin);
  const end = page.indexOf(marks.end);
  if (begin === -1 || end < begin) {
    throw new Error(`helm/millrace/README.md: the lines ${marks.begin} and ${marks.end} are missing`);
  }
  return `${page.slice(0, begin + marks.begin.length)}\n\n${made}\n${page.slice(end)}`;
}

/**
 * The settings of each service, and those that all have, under `every-service`.
 *
 * @returns {Promise<Map<string, Settings>>}
 */
async function readSettings() {
  const runtime = readFileSync(join(root, "libs", "runtime", "src", "config.ts"), "utf8");
  const parts = Object.fromEntries(partNames.map((name) => [name, settingComments(runtime, {}, name)]));
  const base = new Set([...(parts.baseConfig ?? [])].map(([path]) => path.split(".")[0] ?? ""));
  const services = readdirSync(join(root, "services")).sort();
  const printed = await Promise.all(services.map(printSchema));
  /** @type {Map<string, Settings>} */
  const found = new Map();
  for (const [at, service] of services.entries()) {
    const source = readFileSync(join(root, "services", service, "src", "config.ts"), "utf8");
    const schema = printed[at] ?? {};
    found.set(service, {
      schema,
      comments: settingComments(source, parts),
      isListed: (path) => !base.has(path.split(".")[0] ?? ""),
      isOfMachine: (path) =>
        new RegExp(`\\b${path.split(".").at(-1)}: .*availableParallelism\\(`).test(source),
    });
  }
  const some = found.get("gateway") ?? { schema: {} };
  const properties = Object.fromEntries(
    Object.entries(/** @type {Record<string, unknown>} */ (some.schema.properties)).filter(([name]) => {
      return base.has(name) && !ownSettings.includes(name);
    }),
  );
  const every = {
    schema: { ...some.schema, properties },
    comments: parts.baseConfig ?? new Map(),
    isListed: () => true,
    isOfMachine: () => false,
  };
  return new Map([["every-service", every], ...found]);
}

/**
 * @param {string} service
 * @returns {Promise<Record<string, unknown>>}
 */
async function printSchema(service) {
  const main = join(root, "services", service, "dist", "main.js");
  const { stdout } = await promisify(execFile)(process.execPath, [main, "--print-schema"]);
  return JSON.parse(stdout);
}
