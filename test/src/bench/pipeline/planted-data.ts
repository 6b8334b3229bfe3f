import { below, digits, pick, type Seeded } from "../seeded.js";

/** A phrase with made-up personal data, and what must be left of it. Both are ASCII. */
export interface Planted {
  before: string;
  after: string;
}

type Kind = (random: Seeded) => Planted;

/** Replaces `value` in the phrase by its type, as the default policy does. */
function planted(lead: string, value: string, type: string, trail = ""): Planted {
  return { before: `${lead}${value}${trail}`, after: `${lead}[${type}]${trail}` };
}

const names = ["anna.meyer", "j.okafor", "li-wei", "maria_silva", "tom", "noor.haddad", "piotr"] as const;
const hosts = ["example.com", "mail.example.org", "example.net"] as const;

/** From the ranges that are kept for documentation and fiction. */
const kinds: readonly [Kind, ...Kind[]] = [
  (random) =>
    planted("mail to ", `${pick(random, names)}${below(random, 10_000)}@${pick(random, hosts)}`, "EMAIL"),
  (random) => planted("call ", `(${area(random)}) 555-01${digits(random, 2)}`, "PHONE"),
  (random) => planted("call ", `+1 ${area(random)}-555-01${digits(random, 2)}`, "PHONE"),
  (random) => planted("card ", cardNumber(random, "4", 16), "CARD"),
  (random) => planted("card ", inGroups(cardNumber(random, "51", 16), " "), "CARD"),
  (random) => planted("card ", inGroups(cardNumber(random, "4000", 16), "-"), "CARD"),
  (random) => planted("account ", iban("DE", digits(random, 18)), "IBAN"),
  (random) => planted("account ", inGroups(iban("GB", `WEST${digits(random, 14)}`), " "), "IBAN"),
  (random) =>
    planted(
      "ssn ",
      `${100 + below(random, 500)}-${10 + below(random, 90)}-${1000 + below(random, 9000)}`,
      "SSN",
    ),
  (random) => planted("from ", `203.0.113.${below(random, 256)}`, "IP"),
  (random) => planted("from ", `2001:db8::${hex(random)}:${hex(random)}`, "IP"),
  (random) => {
    const userinfo = `svc${below(random, 1000)}:pw${digits(random, 6)}x`;
    return planted("see https://", userinfo, "URL_CREDENTIALS", `@${pick(random, hosts)}/path`);
  },
];

export function plantedData(random: Seeded): Planted {
  return pick(random, kinds)(random);
}

function area(random: Seeded): string {
  return pick(random, ["212", "303", "415", "617", "718"]);
}

/** Four hexadecimal digits, a decimal one first. */
function hex(random: Seeded): string {
  return `${1 + below(random, 9)}${below(random, 4096).toString(16).padStart(3, "0")}`;
}

function inGroups(text: string, separator: string): string {
  return text.replaceAll(/.{4}(?=.)/g, `$&${separator}`);
}

/** With its Luhn digit (ISO/IEC 7812-1 annex B) last. */
function cardNumber(random: Seeded, prefix: string, length: number): string {
  const body = prefix + digits(random, length - 1 - prefix.length);
  let sum = 0;
  [...body].reverse().forEach((digit, at) => {
    const value = Number(digit) * (at % 2 === 0 ? 2 : 1);
    sum += value > 9 ? value - 9 : value;
  });
  return body + String((10 - (sum % 10)) % 10);
}

/** With its check digits (ISO 7064 mod 97-10) behind the country. */
function iban(country: string, account: string): string {
  const asDigits = [...`${account}${country}00`].map((char) => Number.parseInt(char, 36)).join("");
  const check = 98n - (BigInt(asDigits) % 97n);
  return country + String(check).padStart(2, "0") + account;
}
