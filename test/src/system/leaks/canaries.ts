import type { FindingType } from "@millrace/envelope";

/** A made-up piece of personal data, unlike any other, planted in one place. */
export interface Canary {
  type: FindingType;
  /** Where it was planted, for a person. */
  place: string;
  /** As it was written. */
  text: string;
  /** What would tell of it if it were found: the whole, and its parts that identify. */
  needles: readonly string[];
}

export interface Canaries {
  /** All that were planted so far. */
  readonly all: readonly Canary[];
  plant(type: FindingType, place: string): string;
  /** One of each form, between words. */
  plantEach(place: string): string;
}

type Form = (at: number) => Omit<Canary, "place">;

const forms: readonly Form[] = [email, phone, card, cardInGroups, iban, ibanInGroups, ssn, ipv4, ipv6, login];

/** How many forms there are: `plantEach` plants so many. */
export const formsCount = forms.length;

export function createCanaries(): Canaries {
  const all: Canary[] = [];
  const plantForm = (form: Form, place: string): string => {
    const canary = { ...form(all.length + 1), place };
    all.push(canary);
    return canary.text;
  };
  return {
    all,
    plant: (type, place) => {
      const form = forms.find((each) => each(0).type === type);
      if (form === undefined) throw new Error(`no canary is a ${type}`);
      return plantForm(form, place);
    },
    plantEach: (place) => forms.map((form) => `so ${plantForm(form, place)} it is`).join("; "),
  };
}

/** The forms one by one, each planted where the text is put. */
export function plantApart(canaries: Canaries, place: string): string[] {
  const before = canaries.all.length;
  canaries.plantEach(place);
  return canaries.all.slice(before).map(({ text }) => text);
}

const digits = (at: number, count: number): string => String(at).padStart(count, "0");
/** Letters only, so that no digit detector sees them. */
const letters = (at: number): string =>
  digits(at, 4).replace(/\d/g, (digit) => "qwxzkvjbpf".charAt(Number(digit)));

function email(at: number) {
  const local = `vq${letters(at)}zk`;
  return { type: "EMAIL" as const, text: `${local}@example.com`, needles: [local] };
}

function phone(at: number) {
  const text = `+44 20 7946 ${digits(at, 4)}`;
  return { type: "PHONE" as const, text, needles: [text.slice(4), `207946${digits(at, 4)}`] };
}

function cardNumber(at: number): string {
  const body = `45395777${digits(at, 7)}`;
  const doubled = [...body].map((digit, index) => {
    const value = Number(digit) * (index % 2 === 0 ? 2 : 1);
    return value > 9 ? value - 9 : value;
  });
  return `${body}${(10 - (doubled.reduce((sum, value) => sum + value, 0) % 10)) % 10}`;
}

function card(at: number) {
  const text = cardNumber(at);
  return { type: "CARD" as const, text, needles: [text] };
}

const inFours = (text: string): string => text.replace(/(.{4})(?=.)/g, "$1 ");

function cardInGroups(at: number) {
  const number = cardNumber(at);
  return { type: "CARD" as const, text: inFours(number), needles: [number, inFours(number)] };
}

function ibanNumber(at: number): string {
  const account = `370400440${digits(at, 9)}`;
  // D is 13 and E is 14; the check digits make the whole leave 1 (ISO 7064 mod 97-10).
  const check = 98n - (BigInt(`${account}131400`) % 97n);
  return `DE${String(check).padStart(2, "0")}${account}`;
}

function iban(at: number) {
  const text = ibanNumber(at);
  return { type: "IBAN" as const, text, needles: [text.slice(4)] };
}

function ibanInGroups(at: number) {
  const text = inFours(ibanNumber(at));
  return { type: "IBAN" as const, text, needles: [text.slice(5), ibanNumber(at).slice(4)] };
}

function ssn(at: number) {
  const serial = digits(at, 4);
  return { type: "SSN" as const, text: `523-86-${serial}`, needles: [`523-86-${serial}`, `52386${serial}`] };
}

function ipv4(at: number) {
  const text = `93.184.${(at >> 8) + 100}.${(at & 255) === 0 ? 255 : at & 255}`;
  return { type: "IP" as const, text, needles: [text] };
}

function ipv6(at: number) {
  const text = `2001:db8:93:${digits(at, 4)}::1f`;
  return { type: "IP" as const, text, needles: [`93:${digits(at, 4)}::1f`] };
}

function login(at: number) {
  const [user, password] = [`usv${letters(at)}qy`, `pwv${letters(at)}qy`];
  const text = `https://${user}:${password}@files.example.com/inbox`;
  return { type: "URL_CREDENTIALS" as const, text, needles: [user, password] };
}
