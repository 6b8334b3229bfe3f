import type { Value } from "@millrace/proto/source";
import { checkKeys, checkText } from "../units/checks.js";

/** A text, which is kept with the settings and never shown again, or the name of a secret of the operator. */
export type SecretValue = string | { secret: string };

export function toValue(given: SecretValue, field: string): Value {
  if (typeof given === "string") return { kind: { $case: "text", value: given } };
  checkKeys(given, ["secret"], field);
  checkText(given.secret, `${field}.secret`);
  return { kind: { $case: "secret", value: given.secret } };
}
