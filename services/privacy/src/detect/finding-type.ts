/**
 * The closed set of what the filter looks for. The codes travel in the `types` column of a batch's findings:
 * a code is never reused, 0 means none. `priority` decides when findings overlap: the one that a checksum or
 * a stricter form vouches for gives its name to the union of both spans, so nothing that any detector called
 * personal remains.
 */
export type FindingType = "EMAIL" | "PHONE" | "CARD" | "IBAN" | "SSN" | "IP" | "URL_CREDENTIALS";

export const findingCodes: Readonly<Record<FindingType, number>> = {
  EMAIL: 1,
  PHONE: 2,
  CARD: 3,
  IBAN: 4,
  SSN: 5,
  IP: 6,
  URL_CREDENTIALS: 7,
};

export const findingTypes = Object.keys(findingCodes) as readonly FindingType[];

/** Highest first: mod 97, Luhn, then by how strict the form is. */
const byPriority: readonly FindingType[] = ["IBAN", "CARD", "URL_CREDENTIALS", "IP", "SSN", "EMAIL", "PHONE"];

const codesMax = 8;
const typeByCode: readonly (FindingType | undefined)[] = Array.from({ length: codesMax }, (_, code) =>
  findingTypes.find((type) => findingCodes[type] === code),
);

/** Priority by code; the greater one names an overlap. */
export const findingPriority: Uint8Array = Uint8Array.from(typeByCode, (type) =>
  type === undefined ? 0 : byPriority.length - byPriority.indexOf(type),
);

/** The type of a code, undefined for a code of a newer version. */
export function findingTypeOf(code: number): FindingType | undefined {
  return typeByCode[code];
}
