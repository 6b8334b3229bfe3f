import { isMap, isNode, isScalar, LineCounter, parse, parseDocument } from "yaml";

/**
 * @typedef {object} ValueField A key of values.yaml and the comment above it: `# -- What it is for.`
 * @property {string[]} path
 * @property {string} description
 * @property {unknown} value its default
 * @property {ValueField[] | undefined} fields of a map that is not empty
 */

/**
 * The fields of a values file in its order. A key without a comment belongs to a group (a map with keys that
 * have comments), or is part of the default of the key above it that has one; anything else is refused.
 *
 * @param {string} text
 * @returns {ValueField[]}
 */
export function readValuesFile(text) {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter });
  if (document.errors[0] !== undefined) throw document.errors[0];
  const lines = text.split("\n");

  /**
   * @param {unknown} node
   * @param {string[]} above
   * @returns {ValueField[]}
   */
  const fieldsOf = (node, above) => {
    if (!isMap(node)) throw new Error(`values.yaml: ${above.join(".") || "the file"} is not a map`);
    return node.items.map(({ key, value }) => {
      if (!isScalar(key) || !key.range) throw new Error(`values.yaml: a key below ${above.join(".")}`);
      const path = [...above, String(key.value)];
      const description = commentAbove(lines, counter.linePos(key.range[0]).line);
      // A map with a comment of its own is a value as a whole.
      const isGroup = description === "" && isMap(value) && value.items.length > 0;
      const fields = isGroup ? fieldsOf(value, path) : undefined;
      if (description === "" && fields === undefined) {
        throw new Error(`values.yaml: ${path.join(".")} has no comment; write "# -- text" above it`);
      }
      return { path, description, value: isNode(value) ? value.toJS(document) : null, fields };
    });
  };
  return fieldsOf(document.contents, []);
}

/**
 * Lines without dashes are headings for who reads the file.
 *
 * @param {string[]} lines
 * @param {number} keyLine counted from 1
 */
function commentAbove(lines, keyLine) {
  /** @type {string[]} */
  const texts = [];
  for (let at = keyLine - 2; at >= 0 && /^\s*#/.test(lines[at] ?? ""); at -= 1) {
    const text = (lines[at] ?? "").replace(/^\s*#\s?/, "");
    if (text.startsWith("-- ")) return [text.slice(3), ...texts].join(" ").trim();
    texts.unshift(text.trim());
  }
  return "";
}

/**
 * What a profile sets, by path.
 *
 * @param {string} text
 * @returns {Map<string, unknown>}
 */
export function readProfile(text) {
  /** @type {Map<string, unknown>} */
  const found = new Map();
  /**
   * @param {unknown} value
   * @param {string} path
   */
  const visit = (value, path) => {
    found.set(path, value);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return;
    for (const [key, below] of Object.entries(value)) visit(below, path === "" ? key : `${path}.${key}`);
  };
  visit(parse(text), "");
  return found;
}

/**
 * All fields that hold a value, groups left out.
 *
 * @param {ValueField[]} fields
 * @returns {ValueField[]}
 */
export function leavesOf(fields) {
  return fields.flatMap((field) => (field.fields === undefined ? [field] : leavesOf(field.fields)));
}
