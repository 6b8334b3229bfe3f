import { getCountries, getCountryCallingCode, Metadata } from "libphonenumber-js/min";

/** Calling codes have one to three digits (ITU-T E.164 §6.2.1). */
const callingCodesMax = 1000;

/** Lengths of national numbers by calling code, as bits: all the plans of the library together, read once. */
const lengthsByCallingCode = new Uint32Array(callingCodesMax);
for (const country of getCountries()) {
  const metadata = new Metadata();
  metadata.selectNumberingPlan(country);
  const code = Number(getCountryCallingCode(country));
  for (const length of metadata.numberingPlan?.possibleLengths() ?? []) {
    lengthsByCallingCode[code] = (lengthsByCallingCode[code] as number) | (1 << length);
  }
}

/**
 * Countries whose national numbers may keep a leading zero after the calling code: Italy and Vatican (39),
 * and others.
 */
const keepsLeadingZero: ReadonlySet<number> = new Set([39, 225, 229, 241, 242, 269, 378, 379]);
const northAmerica = 1;

/**
 * Whether digits after a `+` or `00` can be a number: a calling code in use and a length that its plan
 * knows. The plan's own ranges are not asked for: with a `+` before it a number that is not assigned (yet)
 * is still shown as one.
 */
export function isPossibleNumber(digits: Uint8Array, count: number): boolean {
  let code = 0;
  for (let length = 1; length <= 3 && length < count; length++) {
    code = code * 10 + (digits[length - 1] as number);
    const lengths = lengthsByCallingCode[code] as number;
    if (lengths === 0) continue;
    const first = digits[length] as number;
    if (code === northAmerica && first < 2) return false;
    if (first === 0 && !keepsLeadingZero.has(code)) return false;
    return (lengths & (1 << (count - length))) !== 0;
  }
  return false;
}
