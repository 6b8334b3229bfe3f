import { invalidArgument } from "../rpc/millrace-error.js";

/**
 * Refuses what is no object, and keys that `known` does not have. `field` is the object's place, `""` at the
 * top.
 */
export function checkKeys(value: unknown, known: readonly string[], field: string): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidArgument(
      field || "options",
      "is no object",
      `Give an object with any of: ${known.join(", ")}.`,
    );
  }
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue;
    throw invalidArgument(place(field, key), "is no option", `Use any of: ${known.join(", ")}.`);
  }
}

export function checkBoolean(value: unknown, field: string): void {
  if (typeof value !== "boolean")
    throw invalidArgument(field, "is neither true nor false", "Give a boolean.");
}

export function checkText(value: unknown, field: string): void {
  if (typeof value !== "string" || value === "")
    throw invalidArgument(field, "is empty or no text", "Give a string.");
}

/** A whole number within the bounds, both included. */
export function checkCount(value: unknown, field: string, [least, most]: [number, number]): void {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return;
  throw invalidArgument(
    field,
    `is ${JSON.stringify(value)}`,
    `Give a whole number from ${least} to ${most}.`,
  );
}

export function checkOneOf(value: unknown, field: string, choices: readonly string[]): void {
  if (typeof value === "string" && choices.includes(value)) return;
  const remedy = `Use ${choices.map((choice) => `"${choice}"`).join(" or ")}.`;
  throw invalidArgument(field, `is ${JSON.stringify(value)}`, remedy);
}

export function checkTexts(value: unknown, field: string): void {
  if (Array.isArray(value) && value.every((item) => typeof item === "string" && item !== "")) return;
  throw invalidArgument(field, "is no list of strings", "Give an array of strings.");
}

export function place(parent: string, key: string): string {
  return parent === "" ? key : `${parent}.${key}`;
}
