import type { Value } from "./gen/millrace/source/v1/source.js";

/** What a secret may be called: a file name that cannot lead anywhere. */
export const secretName = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/** Stands for a value that is not told. */
export const hiddenText = "***";

/** What a value looks like to whoever asks for the settings: the text of an inline one is not told. */
export const shownValue = (value: Value): Value =>
  value.kind?.$case === "text" ? { kind: { $case: "text", value: hiddenText } } : value;
