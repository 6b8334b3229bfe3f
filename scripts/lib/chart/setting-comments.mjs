/**
 * What the comments of a service's `config.ts` say of its settings, by path (`segments.rawDir`). The schemas
 * that services print hold no comments, and the house rules see to it that each field has one; the files are
 * formatted, so their indentation tells what lies in what.
 *
 * @param {string} source text of the config file
 * @param {Record<string, Map<string, string>>} parts comments of what it spreads, by name (`baseConfig`)
 * @param {string} [from] the declaration that is read; the first schema of the file when absent
 * @returns {Map<string, string>}
 */
export function settingComments(source, parts, from) {
  /** @type {Map<string, string>} */
  const found = new Map();
  /** @type {{ indent: number, name: string }[]} */
  const above = [];
  let comment = "";
  for (const line of declaration(source, from)) {
    const indent = line.length - line.trimStart().length;
    const spread = /^\s*\.\.\.(\w+),/.exec(line)?.[1];
    const field = /^\s*(\w+):/.exec(line)?.[1];
    const said = /^\s*(?:\/\*\*|\*(?!\/))\s?(.*?)\s*(?:\*\/)?$/.exec(line)?.[1];
    if (spread !== undefined) for (const [path, text] of parts[spread] ?? []) found.set(path, text);
    else if (said !== undefined) comment = `${line.includes("/**") ? "" : comment} ${said}`.trim();
    else if (field !== undefined) {
      while ((above.at(-1)?.indent ?? -1) >= indent) above.pop();
      above.push({ indent, name: field });
      if (comment !== "") found.set(above.map(({ name }) => name).join("."), comment);
      comment = "";
    }
  }
  return found;
}

/**
 * The lines of a top-level declaration up to its closing brace.
 *
 * @param {string} source
 * @param {string | undefined} name
 */
function declaration(source, name) {
  const lines = source.split("\n");
  const begins = new RegExp(`^export const ${name ?? "\\w+Config"} = `);
  const first = lines.findIndex((line) => begins.test(line));
  const length = lines.slice(first).findIndex((line) => line.startsWith("}"));
  if (first === -1 || length === -1) throw new Error(`no declaration of ${name ?? "settings"} was found`);
  return lines.slice(first + 1, first + length);
}
