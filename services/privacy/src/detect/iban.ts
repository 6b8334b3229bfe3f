import { countrySpecs, ValidationErrorsIBAN, validateIBAN } from "ibantools";
import { findingCodes } from "./finding-type.js";
import type { Candidate, Detector } from "./scan/detector.js";
import type { FindingSink } from "./scan/findings.js";
import { DIGIT, isClass, isWordAfter, isWordBefore, LETTER } from "./scan/text-bytes.js";

/**
 * An IBAN (ISO 13616): a country's code with that country's length and form, and mod 97. Bare or with one
 * space or dash between groups, in either case of letters. The country's own check digits inside are not
 * asked for: an account number with a slip in them is still somebody's.
 */
export const iban: Detector = {
  type: "IBAN",
  version: 1,
  triggers: ["country"],
  verify(candidate: Candidate, found: FindingSink): void {
    const { bytes, from, to, at } = candidate;
    const length = lengthsByCountry[countryIndex(bytes[at] as number, bytes[at + 1] as number)] as number;
    if (length === 0 || isWordBefore(bytes, from, at)) return;
    const end = endOfAccount(candidate, length);
    if (end < 0 || isWordAfter(bytes, end, to) || !passesMod97(bytes, at, end)) return;
    if (hasCountryForm(bytes.subarray(at, end))) found.push(findingCodes.IBAN, at, end);
  },
};

/** Length of an IBAN by country, 0 where there is none; the library carries the registry. */
const lengthsByCountry = new Uint8Array(26 * 26);
for (const [country, spec] of Object.entries(countrySpecs)) {
  if (!spec.IBANRegistry || !spec.chars) continue;
  lengthsByCountry[countryIndex(country.charCodeAt(0), country.charCodeAt(1))] = spec.chars;
}

/** Of two ASCII letters, in either case. */
function countryIndex(first: number, second: number): number {
  return ((first | 0x20) - 0x61) * 26 + (second | 0x20) - 0x61;
}

/**
 * The end of `length` letters and digits from the candidate on, single spaces or dashes between them; else
 * -1.
 */
function endOfAccount(candidate: Candidate, length: number): number {
  const { bytes, to, at } = candidate;
  let left = length;
  let position = at;
  while (left > 0 && position < to) {
    const byte = bytes[position] as number;
    if (isClass(byte, DIGIT | LETTER)) left--;
    else if ((byte !== 0x20 && byte !== 0x2d) || !isClass(bytes[position - 1], DIGIT | LETTER)) break;
    position++;
  }
  candidate.steps += position - at;
  return left === 0 ? position : -1;
}

/** ISO 7064 mod 97-10 with the first four characters moved to the end, letters counted as 10 to 35. */
function passesMod97(bytes: Uint8Array, start: number, end: number): boolean {
  const head = start + 4;
  const body = remainder(bytes, { start: head, end, seed: 0 });
  return remainder(bytes, { start, end: head, seed: body }) === 1;
}

function remainder(
  bytes: Uint8Array,
  { start, end, seed }: { start: number; end: number; seed: number },
): number {
  let rest = seed;
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number;
    if (isClass(byte, DIGIT)) rest = (rest * 10 + byte - 0x30) % 97;
    else if (isClass(byte, LETTER)) rest = (rest * 100 + (byte | 0x20) - 0x57) % 97;
  }
  return rest;
}

/** The rare last step, on a string: one in 97 candidates of the right length comes here by chance. */
function hasCountryForm(account: Uint8Array): boolean {
  const text = Buffer.from(account).toString("latin1").replace(/[ -]/g, "").toUpperCase();
  return validateIBAN(text).errorCodes.every(
    (error) => error === ValidationErrorsIBAN.WrongAccountBankBranchChecksum,
  );
}
