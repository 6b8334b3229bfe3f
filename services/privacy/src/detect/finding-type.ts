import { findingCodes, type FindingType, findingTypes } from "@millrace/envelope";

/*
 * The closed set of what the filter looks for; codes and names are everybody's, in libs/envelope. `priority`
 * decides when findings overlap: the one that a checksum or a stricter form vouches for gives its name to the
 * union of both spans, so nothing that any detector called personal remains.
 */
export { findingCodes, type FindingType, findingTypes };

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
