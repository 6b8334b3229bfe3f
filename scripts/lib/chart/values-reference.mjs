import { leavesOf } from "./values-file.mjs";
import { ownSettings } from "./value-rules.mjs";

/**
 * @typedef {import("./values-file.mjs").ValueField} ValueField
 * @typedef {Record<string, unknown>} Schema
 * @typedef {{ name: string, values: Map<string, unknown> }} Profile
 *
 * @typedef {object} Settings
 * @property {Schema} schema
 * @property {Map<string, string>} comments by path
 * @property {(path: string) => boolean} isListed false: it is listed with those of every service
 * @property {(path: string) => boolean} isOfMachine its default depends on the machine
 */

/**
 * The reference of values and of the services' settings, in Markdown.
 *
 * @param {object} parts
 * @param {ValueField[]} parts.fields
 * @param {Profile[]} parts.profiles
 * @param {Map<string, Settings>} parts.settings by service
 */
export function valuesReference({ fields, profiles, settings }) {
  const leaves = leavesOf(fields);
  const isProfiled = (/** @type {ValueField} */ { path }) =>
    profiles.some(({ values }) => values.has(path.join(".")));
  const shared = sharedRows(leaves.filter((leaf) => !isProfiled(leaf)));
  const rows = leaves
    .filter((leaf) => isProfiled(leaf) || !shared.has(keyOf(leaf)))
    .map((leaf) => {
      const name = leaf.path.join(".");
      return `| \`${name}\` | ${defaultOf(leaf, profiles)} | ${cell(leaf.description)} |`;
    });
  const sharedList = [...shared.values()].map(({ leaf, services }) => {
    const name = `\`…${leaf.path.slice(1).join(".")}\``;
    const of = services.map((service) => `\`${service}\``).join(" ");
    return `| ${name} | ${of} | ${plain(leaf.value)} | ${cell(leaf.description)} |`;
  });
  return [
    "### Values\n",
    "| Value | Default | |\n|---|---|---|",
    rows.join("\n"),
    "\n### Values of every service\n",
    "| Value | Of | Default | |\n|---|---|---|---|",
    sharedList.join("\n"),
    ...[...settings].map(([service, parts]) => settingsTable(service, parts)),
    "",
  ].join("\n");
}

/** What that many services have in the same words is listed once. */
const sharedLeast = 4;

/**
 * @param {ValueField[]} leaves
 * @returns {Map<string, { leaf: ValueField, services: string[] }>}
 */
function sharedRows(leaves) {
  /** @type {Map<string, { leaf: ValueField, services: string[] }>} */
  const found = new Map();
  for (const leaf of leaves.filter(({ path }) => path.length > 1)) {
    const entry = found.get(keyOf(leaf)) ?? { leaf, services: [] };
    found.set(keyOf(leaf), { leaf, services: [...entry.services, leaf.path[0] ?? ""] });
  }
  return new Map([...found].filter(([, { services }]) => services.length >= sharedLeast));
}

/** @param {ValueField} leaf */
function keyOf({ path, description, value }) {
  return JSON.stringify([path.slice(1), description, value]);
}

/**
 * @param {ValueField} leaf
 * @param {Profile[]} profiles
 */
function defaultOf({ path, value }, profiles) {
  const name = path.join(".");
  const set = profiles.filter(({ values }) => values.has(name));
  const isEmpty = value === null || JSON.stringify(value) === "{}";
  if (set.length === 0 || !isEmpty) return plain(value);
  return set.map(({ name: profile, values }) => `${profile}: ${plain(values.get(name))}`).join("<br>");
}

/** @param {unknown} value */
function plain(value) {
  if (value === null) return "";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text === "" ? "" : `\`${text.replaceAll("|", "\\|")}\``;
}

/** @param {string} text */
function cell(text) {
  return text.replaceAll("|", "\\|");
}

/**
 * @param {string} service
 * @param {Settings} parts
 */
function settingsTable(service, { schema, comments, isListed, isOfMachine }) {
  const leaves = settingLeaves(schema, "").filter(({ path }) => isListed(path));
  if (leaves.length === 0) return "";
  const rows = leaves.map(({ path, of }) => {
    const given = isOfMachine(path) ? "the machine's" : plain(of.default ?? null);
    return `| \`${path}\` | ${allowedOf(of)} | ${given} | ${cell(comments.get(path) ?? "")} |`;
  });
  const title = service === "every-service" ? "`config`: every service" : `\`config\` of ${service}`;
  return `\n### ${title}\n\n| Setting | Allowed | Default | |\n|---|---|---|---|\n${rows.join("\n")}`;
}

/**
 * @param {Schema} schema
 * @param {string} path
 * @returns {{ path: string, of: Schema }[]}
 */
function settingLeaves(schema, path) {
  const properties = /** @type {Record<string, Schema>} */ (schema.properties ?? {});
  return Object.entries(properties).flatMap(([name, value]) => {
    const own = path === "" ? name : `${path}.${name}`;
    if (ownSettings.includes(own)) return [];
    return value.properties === undefined ? [{ path: own, of: value }] : settingLeaves(value, own);
  });
}

/** @param {Schema} schema */
function allowedOf({ type, enum: choices, minimum, maximum }) {
  if (Array.isArray(choices)) return choices.map((choice) => `\`${choice}\``).join(" ");
  const least = typeof minimum === "number" && minimum > Number.MIN_SAFE_INTEGER ? `${minimum}` : "";
  const most = typeof maximum === "number" && maximum < Number.MAX_SAFE_INTEGER ? `${maximum}` : "";
  if (least === "" && most === "") return typeof type === "string" ? type : "";
  return most === "" ? `≥ ${least}` : `${least}…${most}`;
}
