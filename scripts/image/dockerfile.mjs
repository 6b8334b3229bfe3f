/**
 * Reads as much of a Dockerfile as ours uses, and refuses the rest: an instruction that is not understood
 * would not be compared.
 *
 * @typedef {object} Stage
 * @property {string} name
 * @property {string} from
 * @property {Record<string, string>} env
 * @property {Record<string, string>} labels
 * @property {{ from: string, source: string, target: string }[]} copies
 * @property {string | undefined} user
 * @property {string | undefined} workdir
 * @property {string[] | undefined} entrypoint
 * @property {string[] | undefined} command
 */

/** Change what is on disk in ways that no definition tells; allowed only where it is not shipped. */
const buildOnly = new Set(["RUN", "ADD"]);

/**
 * @param {string} text
 * @param {Record<string, string>} given the --build-arg settings
 * @returns {{ stages: Stage[], baseImage: string | undefined }}
 */
export function readDockerfile(text, given = {}) {
  const stages = /** @type {Stage[]} */ ([]);
  /** @type {Record<string, string>} */
  let variables = {};
  const first = /** @type {Record<string, string>} */ ({});
  for (const line of instructions(text)) {
    const [, word = "", rest = ""] = /^(\S+)\s+(.*)$/s.exec(line) ?? [];
    const stage = stages.at(-1);
    if (word === "ARG") {
      const [name = "", fallback = ""] = splitOnce(rest);
      variables[name] = given[name] ?? unquote(fallback);
      if (stage === undefined) first[name] = variables[name];
    } else if (word === "FROM") {
      const [, from = "", name = ""] = /^(\S+) AS (\S+)$/.exec(substitute(rest, first)) ?? [];
      stages.push(emptyStage(name, from));
      variables = {};
    } else if (stage === undefined) {
      throw new Error(`Dockerfile: ${word} stands before the first FROM`);
    } else {
      apply(stage, word, substitute(rest, variables));
    }
  }
  return { stages, baseImage: first["NODE_IMAGE"] };
}

/** @param {string} name @param {string} from @returns {Stage} */
function emptyStage(name, from) {
  const none = { user: undefined, workdir: undefined, entrypoint: undefined, command: undefined };
  return { name, from, env: {}, labels: {}, copies: [], ...none };
}

/** @param {string} text */
function instructions(text) {
  return text
    .split("\n")
    .filter((line) => !line.trimStart().startsWith("#"))
    .join("\n")
    .replaceAll(/\\\n\s*/g, "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/**
 * @param {Stage} stage
 * @param {string} word
 * @param {string} rest
 */
function apply(stage, word, rest) {
  if (word === "USER") stage.user = rest;
  else if (word === "WORKDIR") stage.workdir = rest;
  else if (word === "ENTRYPOINT") stage.entrypoint = execForm(word, rest);
  else if (word === "CMD") stage.command = execForm(word, rest);
  else if (word === "ENV") Object.assign(stage.env, pairs(rest));
  else if (word === "LABEL") Object.assign(stage.labels, pairs(rest));
  else if (word === "COPY") stage.copies.push(copy(rest));
  else if (stage.name !== "build" || !buildOnly.has(word)) {
    throw new Error(`Dockerfile: ${word} in the stage ${stage.name} is not among what can be compared`);
  }
}

/** @param {string} rest */
function copy(rest) {
  const words = rest.split(/\s+/);
  const from = /^--from=(.+)$/.exec(words[0] ?? "")?.[1];
  const [source = "", target = ""] = from === undefined ? words : words.slice(1);
  return { from: from ?? "", source, target };
}

/**
 * @param {string} word
 * @param {string} rest
 * @returns {string[]}
 */
function execForm(word, rest) {
  if (!rest.startsWith("[")) throw new Error(`Dockerfile: ${word} has to be a JSON list: ${rest}`);
  return JSON.parse(rest);
}

/** @param {string} rest */
function pairs(rest) {
  const found = [...rest.matchAll(/([\w.]+)=("[^"]*"|\S+)/g)];
  return Object.fromEntries(found.map(([, name = "", value = ""]) => [name, unquote(value)]));
}

/** @param {string} text */
function splitOnce(text) {
  const at = text.indexOf("=");
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

/** @param {string} text */
function unquote(text) {
  return text.replace(/^"(.*)"$/, "$1");
}

/**
 * @param {string} text
 * @param {Record<string, string>} variables
 */
function substitute(text, variables) {
  return text.replaceAll(/\$\{(\w+)\}/g, (whole, name) => variables[name] ?? whole);
}
