/**
 * Names of the codes in the `types` column of a batch's findings. A code is never used again for another
 * type; 0 means none.
 *
 * Those of what detectors of text find; see also `faceCode`.
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

/** Found in images, by no detector of text: it can't be switched off by name. */
export const faceCode = 8;

const nameByCode = new Map<number, string>([
  ...findingTypes.map((type): [number, string] => [findingCodes[type], type]),
  [faceCode, "FACE"],
]);

/** The type's name; a code of a newer version is shown by its number. */
export function findingName(code: number): string {
  return nameByCode.get(code) ?? `TYPE_${code}`;
}

/** The code of a type by its name, also of one that `findingName` showed by its number; 0 for none. */
export function findingCode(name: string): number {
  if (name === nameByCode.get(faceCode)) return faceCode;
  return findingCodes[name as FindingType] ?? Number(/^TYPE_(\d{1,3})$/.exec(name)?.[1] ?? 0);
}
