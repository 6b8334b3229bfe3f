/**
 * Names of the codes in the `types` column of a batch's findings. A code is never used again for another
 * type; 0 means none.
 */
export const findingCodes = {
  EMAIL: 1,
  PHONE: 2,
  CARD: 3,
  IBAN: 4,
  SSN: 5,
  IP: 6,
  URL_CREDENTIALS: 7,
} as const;

export type FindingType = keyof typeof findingCodes;

export const findingTypes = Object.keys(findingCodes) as readonly FindingType[];

const nameByCode = new Map<number, FindingType>(findingTypes.map((type) => [findingCodes[type], type]));

/** The type's name; a code of a newer version is shown by its number. */
export function findingName(code: number): string {
  return nameByCode.get(code) ?? `TYPE_${code}`;
}
