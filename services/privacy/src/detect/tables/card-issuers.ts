const length13 = 1 << 13;
const length14 = 1 << 14;
const length15 = 1 << 15;
const length16 = 1 << 16;
const lengths16to19 = length16 | (1 << 17) | (1 << 18) | (1 << 19);
const lengths13to19 = length13 | length14 | length15 | lengths16to19;

/** First and last prefix of four digits, and the lengths in use as bits: the issuers' published ranges. */
const issuers: ReadonlyArray<readonly [first: number, last: number, lengths: number]> = [
  [2200, 2204, lengths16to19], // Mir
  [2221, 2720, length16], // Mastercard
  [3000, 3059, length14 | lengths16to19], // Diners Club
  [3095, 3095, length14 | lengths16to19], // Diners Club
  [3400, 3499, length15], // American Express
  [3528, 3589, lengths16to19], // JCB
  [3600, 3699, length14 | lengths16to19], // Diners Club
  [3700, 3799, length15], // American Express
  [3800, 3999, length14 | lengths16to19], // Diners Club
  [4000, 4999, length13 | length16 | (1 << 18) | (1 << 19)], // Visa
  [5000, 5099, lengths13to19], // Maestro, Elo, Verve
  [5100, 5599, length16], // Mastercard
  [5600, 5899, lengths13to19], // Maestro
  [6000, 6999, lengths13to19], // Discover, UnionPay, RuPay, Maestro, Hipercard
  [8100, 8299, length16], // RuPay, UnionPay
  [9792, 9792, length16], // Troy
];

/** Lengths of card numbers, as bits, by their first four digits; 0 where nobody issues. */
export const cardLengthsByPrefix = new Uint32Array(10_000);
for (const [first, last, lengths] of issuers) cardLengthsByPrefix.fill(lengths, first, last + 1);
