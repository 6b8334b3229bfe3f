import { detectText } from "../../redact/detect-text.js";

/** What every detector finds in a text, as `TYPE value`. */
export function foundIn(text: string): string[] {
  return detectText(text).map(({ type, start, end }) => `${type} ${text.slice(start, end)}`);
}
