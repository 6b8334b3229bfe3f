import { CodedError } from "@millrace/errors";

/** What a label has to be: one of these. */
export interface Requirement {
  label: string;
  values: readonly string[];
}

/** Labels that a metric has, each with the values that it takes. */
export type Labels = Readonly<Record<string, readonly string[]>>;

const remedy = "Write label=value, label==value or label in (one,other), joined by commas.";
const selectorCharsMax = 1_000;

/**
 * Reads a selector of labels. What selects by absence has no meaning here, where each series has all of its
 * labels. Errors: `invalid_argument`.
 */
export function parseSelector(text: string): Requirement[] {
  if (text.length > selectorCharsMax) throw refused(`it is longer than ${selectorCharsMax} characters`);
  if (text.trim() === "") return [];
  return split(text).map(parseRequirement);
}

/** By commas outside of parentheses. */
function split(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === "(") depth++;
    if (char === ")") depth--;
    if (char !== "," || depth > 0) continue;
    parts.push(text.slice(from, at));
    from = at + 1;
  }
  parts.push(text.slice(from));
  return parts.map((part) => part.trim());
}

const equals = /^([A-Za-z0-9._/-]+)\s*==?\s*([A-Za-z0-9._-]+)$/;
const oneOf = /^([A-Za-z0-9._/-]+)\s+in\s*\(([^()]*)\)$/;
const negative = /^!|!=|\snotin\s*\(/;

function parseRequirement(part: string): Requirement {
  if (negative.test(part)) throw refused(`"${part}" selects by what a label is not`);
  const [, label, value] = equals.exec(part) ?? [];
  if (label !== undefined && value !== undefined) return { label, values: [value] };
  const [, name, list] = oneOf.exec(part) ?? [];
  if (name === undefined || list === undefined) throw refused(`"${part}" is no requirement`);
  const values = list.split(",").map((each) => each.trim());
  if (!values.every((each) => /^[A-Za-z0-9._-]+$/.test(each))) throw refused(`"${part}" has an empty value`);
  return { label: name, values };
}

/**
 * The values that are asked for, by label; those that are not named are left out. Errors: `invalid_argument`
 * for a label or a value that the metric has not.
 */
export function selectLabels(requirements: readonly Requirement[], labels: Labels): Map<string, string[]> {
  const selected = new Map<string, string[]>();
  for (const { label, values } of requirements) {
    const known = Object.hasOwn(labels, label) ? labels[label] : undefined;
    if (known === undefined) throw refused(`there is no label ${label}`, knownOf(Object.keys(labels)));
    const strange = values.find((value) => !known.includes(value));
    if (strange !== undefined) throw refused(`there is no ${label} ${strange}`, knownOf(known));
    const before = selected.get(label) ?? known;
    selected.set(
      label,
      before.filter((value) => values.includes(value)),
    );
  }
  return selected;
}

const knownOf = (names: readonly string[]): string =>
  names.length === 0 ? "This metric has no labels." : `Known: ${names.join(", ")}.`;

function refused(problem: string, how = remedy): CodedError {
  return new CodedError("invalid_argument", `labelSelector: ${problem}`, {
    field: "labelSelector",
    remedy: how,
  });
}
