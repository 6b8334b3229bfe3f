import type { FindingType } from "../finding-type.js";

/** A text and the personal data that was put into it, in order. */
export interface LabelledText {
  text: string;
  planted: ReadonlyArray<{ type: FindingType; value: string }>;
}

export type Random = () => number;

/** A linear congruential generator (Numerical Recipes): the same corpus each time. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 0x1_0000_0000;
  };
}

/** `#` is a digit, `?` a letter, `*` a digit from 2 to 9. */
function fill(form: string, random: Random): string {
  return form.replace(/[#?*]/g, (sign) => {
    if (sign === "?") return String.fromCharCode(97 + Math.floor(random() * 26));
    return sign === "*" ? String(2 + Math.floor(random() * 8)) : String(Math.floor(random() * 10));
  });
}

function pick<T>(from: readonly T[], random: Random): T {
  return from[Math.floor(random() * from.length)] as T;
}

const names = ["anna", "b.okafor", "li-wei", "jörg", "o'brien", "maria_lopez", "x9", "dev+test", "MÜLLER"];
const domains = [
  "example.com",
  "mail.example.co.uk",
  "bücher.example",
  "ex-ample.org",
  "a1.io",
  "example.xn--p1ai",
];
const phones = [
  "+49 30 #######",
  "+4930########",
  "+44 20 7946 ####",
  "+44 7700 9#####",
  "+33 1 99 00 ## ##",
  "+1 (*##) *##-####",
  "+1-*##-*##-####",
  "+91 98### #####",
  "(*##) *##-####",
  "*##-*##-####",
  "*##.*##.####",
  "1-*##-*##-####",
  "030 / ### ## ##",
  "0171-#######",
  "020 7946 ####",
  "01 ## ## ## ##",
  "0049 30 #######",
];
const cards = [
  "4###############",
  "51##############",
  "34#############",
  "6011############",
  "3528############",
  "2221############",
];
const accounts: ReadonlyArray<readonly [country: string, form: string]> = [
  ["DE", "##################"],
  ["GB", "NWBK##############"],
  ["NL", "ABNA##########"],
  ["NO", "###########"],
  ["CH", "#################"],
  ["AT", "################"],
  ["PL", "########################"],
  ["SA", "####################"],
];

function luhnDigit(digits: string): string {
  let sum = 0;
  [...digits].reverse().forEach((digit, i) => {
    const value = Number(digit) * (i % 2 === 0 ? 2 : 1);
    sum += value > 9 ? value - 9 : value;
  });
  return String((10 - (sum % 10)) % 10);
}

function createCard(random: Random): string {
  const digits = fill(pick(cards, random), random).slice(0, -1);
  const number = digits + luhnDigit(digits);
  const separator = pick(["", " ", "-"], random);
  if (number.length === 15)
    return [number.slice(0, 4), number.slice(4, 10), number.slice(10)].join(separator);
  return (number.match(/.{4}/g) ?? []).join(separator);
}

function createIban(random: Random): string {
  const [country, form] = pick(accounts, random);
  const bban = fill(form, random);
  const numeric = [...`${bban}${country}00`].map((sign) => String(Number.parseInt(sign, 36))).join("");
  const check = String(98n - (BigInt(numeric) % 97n)).padStart(2, "0");
  const account = country + check + bban;
  return random() < 0.5 ? account : (account.match(/.{1,4}/g) ?? []).join(" ");
}

function createIp(random: Random): string {
  const octet = (): number => Math.floor(random() * 256);
  const quad = `${1 + Math.floor(random() * 254)}.${octet()}.${octet()}.${octet()}`;
  const group = (): string => Math.floor(random() * 65_536).toString(16);
  const full = Array.from({ length: 8 }, group).join(":");
  return pick(
    [quad, quad, full, `2001:db8::${group()}`, `fe80::${group()}:${group()}`, `::ffff:${quad}`],
    random,
  );
}

export const createValue: Readonly<Record<FindingType, (random: Random) => string>> = {
  EMAIL: (random) => `${pick(names, random)}${fill("##", random)}@${pick(domains, random)}`,
  PHONE: (random) => fill(pick(phones, random), random),
  CARD: createCard,
  IBAN: createIban,
  SSN: (random) =>
    fill(pick(["*11-*#-*###", "*23 *# *###", "1##-*#-1###"], random), random).replace(/^9/, "8"),
  IP: createIp,
  URL_CREDENTIALS: (random) =>
    fill(pick(["app:s3cr3t##", ":####??", "anna:p@ss##", "root:???-##"], random), random),
};

/** What looks like personal data and is none. */
const lookalikes: ReadonlyArray<(random: Random) => string> = [
  (random) => fill("17638########", random),
  (random) => fill("17638#####", random),
  (random) => fill("1763842#########", random),
  (random) => fill("ORD-20########", random),
  (random) => fill("########", random),
  (random) => fill("##########", random),
  (random) => fill("v#.##.#", random),
  (random) => fill("1.#.##.#.4", random),
  (random) => fill("a3f#????-e29b-41d4-a716-4466554400##", random),
  (random) => fill("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f0####", random),
  (random) => fill("#.############", random),
  (random) => fill("1#.###,## EUR", random),
  (random) => fill("978-3-16-14####-#", random),
  (random) => fill("978030640####", random),
  (random) => fill("a#:bb:0#:dd:ee:#f", random),
  (random) => fill("00-1#-2#-33-44-55", random),
  (random) => fill("1#:4#:5#", random),
  (random) => fill("2026-1#-2# 1#:4#:0#.###", random),
  (random) => fill("2026-11-2#T10:0#:00.###Z", random),
  (random) => fill("1#.11.2026", random),
  (random) => fill("Chrome/12#.0.0.0", random),
  (random) => fill("x[1::#]", random),
  (random) => fill("@user##", random),
  (random) => fill("icon@2x.png", random),
  (random) => fill("https://example.com:80##/a", random),
  (random) => fill("#### / ####", random),
  (random) => fill("10# x 20# x 30#", random),
];

/** Where a value is put: `{}` is the value, `~` something that looks like personal data. */
const frames = [
  '{"id":12,"ts":1763842000123,"text":"please see {} and ~ thanks","n":4.25}',
  '{"ts":1763842000123,"note":"first line\\n{}\\n~","ok":true}',
  '{"value":"{}","other":"~"}',
  "Dear all, write to {}, or see ~. Bye.",
  "We met ({}) on Monday; the number was ~ then.",
  "17,~,{},done",
  "a;{};~;b",
  "2026-11-22 10:00:00,123 INFO request from {} took 12 ms ref=~",
  "level=warn peer={} id=~ msg=slow",
  "{}",
  "“{}” – ~",
  "客户：{}，~",
];

/** `count` texts that hold one value of the type each, or none where no type is given. */
export function createCorpus(type: FindingType | undefined, count: number, random: Random): LabelledText[] {
  return Array.from({ length: count }, () => {
    const value = type === undefined ? pick(lookalikes, random)(random) : createValue[type](random);
    const shown = type === "URL_CREDENTIALS" ? `https://${value}@host.example/x` : value;
    const text = pick(frames, random)
      .replace("{}", () => shown)
      .replace("~", () => pick(lookalikes, random)(random));
    return { text, planted: type === undefined ? [] : [{ type, value }] };
  });
}
