/**
 * Made-up personal data and the sentences that carry it. Nothing here belongs to anyone: addresses lie under
 * the reserved domains of RFC 2606 and the documentation networks of RFC 5737 and RFC 3849; telephone numbers
 * come from the ranges that regulators keep free for drama (North America 555-01xx, Ofcom, BNetzA, ARCEP,
 * ACMA); cards are the test numbers that payment providers publish; IBANs are the examples of the SWIFT
 * registry; social security numbers have areas 773 to 899, which were never given out by place.
 */
const users = [
  "nora.falk",
  "t.okafor",
  "m.lindqvist+orders",
  "Iris.Vandenberg",
  "j_barros",
  "pavel82",
  "a.m.chua",
  "hello.quill",
  "sven-erik.dahl",
  "ruth.abara",
  "K.TANAKA",
  "lu.moretti99",
  "d.osei",
  "wren",
  "petra.novakova",
];
const hosts = [
  "example.com",
  "example.org",
  "example.net",
  "mail.example.com",
  "post.example.org",
  "shop.example.net",
];
const logins = ["admin", "deploy", "backup", "svc-report", "nora", "ftpuser", "root", "reader"];
const passwords = [
  "hunter2",
  "Tr0ub4dor-3",
  "s3cret!",
  "correct.horse",
  "p4ssw0rd",
  "Zx9_kQ71",
  "letmein~22",
  "0pen-Sesame",
];
const places = [
  "files.example.com/",
  "db.example.org:8443/reports",
  "build.example.net/jobs/14",
  "ftp.example.com/in/",
];

const cards = [
  "4111111111111111",
  "4012888888881881",
  "4242424242424242",
  "4000056655665556",
  "5555555555554444",
  "5105105105105100",
  "5200828282828210",
  "2223003122003222",
  "378282246310005",
  "371449635398431",
  "6011111111111117",
  "6011000990139424",
  "30569309025904",
  "38520000023237",
  "3530111333300000",
  "3566002020360505",
];

const ibans = [
  "GB33BUKB20201555555555",
  "DE89370400440532013000",
  "FR1420041010050500013M02606",
  "NL91ABNA0417164300",
  "ES9121000418450200051332",
  "IT60X0542811101000000123456",
  "BE68539007547034",
  "CH9300762011623852957",
  "AT611904300234573201",
  "SE4550000000058398257466",
  "NO9386011117947",
  "PL61109010140000071219812874",
  "PT50000201231234567890154",
  "DK5000400440116243",
  "FI2112345600000785",
  "LU280019400644750000",
];

const areaCodes = ["202", "212", "312", "415", "206", "617", "305", "713"];

/** For each type: a maker of (text to insert, where the value lies in it), drawing from `random`. */
const makers = {
  EMAIL: (random) => whole(`${random.pick(users)}@${random.pick(hosts)}`),
  PHONE: (random) => whole(phone(random)),
  CARD: (random) => whole(card(random.pick(cards), random.pick(["", " ", "-"]))),
  IBAN: (random) => whole(iban(random.pick(ibans), random.pick(["", " "]))),
  SSN: (random) => whole(ssn(random)),
  IP: (random) => whole(ip(random)),
  URL_CREDENTIALS: (random) => {
    const login = `${random.pick(logins)}:${random.pick(passwords)}`;
    return { inserted: `https://${login}@${random.pick(places)}`, offset: "https://".length, value: login };
  },
};

export const types = Object.keys(makers);

/** A sentence stands alone before, between or after others; an aside goes into brackets inside a sentence. */
const carriers = {
  EMAIL: {
    sentences: [
      "Contact me at {}.",
      "Please send the answer to {}.",
      "Write to {} if you want the details.",
      "My address is {}, in case you need it.",
      "Forwarded by Falk <{}>.",
    ],
    asides: ["reach me at {}", "mail {}", "copy to {}"],
  },
  PHONE: {
    sentences: [
      "Call me on {} after six.",
      "My phone number is {}.",
      "You can text {} with questions.",
      "Ring {} and ask for the night desk.",
      "Tel. {}.",
    ],
    asides: ["call {}", "phone {}", "my mobile: {}"],
  },
  CARD: {
    sentences: [
      "My card {} was charged twice.",
      "I paid with card number {}.",
      "Please refund the card {}.",
      "The receipt shows card {}, not mine.",
    ],
    asides: ["paid with card {}", "card no. {}"],
  },
  IBAN: {
    sentences: [
      "Send the refund to {}.",
      "The account is {}.",
      "Transfer it to IBAN {}, please.",
      "The deposit went to {} by mistake.",
    ],
    asides: ["account {}", "IBAN {}"],
  },
  SSN: {
    sentences: [
      "My social security number is {}.",
      "They asked for my SSN, {}, on the form.",
      "The file is under SSN {}.",
      "SSN: {}.",
    ],
    asides: ["SSN {}", "social security {}"],
  },
  IP: {
    sentences: [
      "The request came from {}.",
      "My router answers at {}.",
      "Logged in from {} last night.",
      "Source address {}, as far as I can see.",
    ],
    asides: ["from {}", "posted from {}"],
  },
  URL_CREDENTIALS: {
    sentences: ["The full copy is at {} for now.", "I uploaded it to {}", "Fetch it from {} before Friday."],
    asides: ["see {}", "copied from {}"],
  },
};

/** One item to plant: `inserted` goes into the carrier, `value` begins at `offset` in it. */
export function makePlant(type, random) {
  return makers[type](random);
}

export function carrier(type, form, random) {
  return random.pick(carriers[type][form]);
}

const whole = (value) => ({ inserted: value, offset: 0, value });
const pad = (number, digits) => String(number).padStart(digits, "0");

function phone(random) {
  const line = `01${pad(random.between(0, 99), 2)}`;
  const area = random.pick(areaCodes);
  const two = () => pad(random.between(0, 99), 2);
  const three = () => pad(random.between(0, 999), 3);
  return random.pick([
    () => `(${area}) 555-${line}`,
    () => `${area}-555-${line}`,
    () => `${area}.555.${line}`,
    () => `+1 ${area}-555-${line}`,
    () => `+1${area}555${line}`,
    () => `+44 20 7946 0${three()}`,
    () => `+4420794600${two()}`,
    () => `+49 30 23125 ${three()}`,
    () => `+33 1 99 00 ${two()} ${two()}`,
    () => `+61 491 570 156`,
  ])();
}

function ssn(random) {
  const [area, group, serial] = [random.between(773, 899), random.between(1, 99), random.between(1, 9999)];
  return `${area}-${pad(group, 2)}-${pad(serial, 4)}`;
}

/** As cards print them: American Express in 4-6-5, Diners Club in 4-6-4, the rest in fours. */
function card(digits, separator) {
  const groups = digits.length === 16 ? /(.{4})(.{4})(.{4})(.{4})/ : /(.{4})(.{6})(.{4,5})/;
  return groups.exec(digits).slice(1).join(separator);
}

function iban(plain, separator) {
  return plain.match(/.{1,4}/g).join(separator);
}

function ip(random) {
  const hex = () => random.between(1, 0xffff).toString(16);
  return random.pick([
    () => `192.0.2.${random.between(1, 254)}`,
    () => `198.51.100.${random.between(1, 254)}`,
    () => `203.0.113.${random.between(1, 254)}`,
    () => `2001:db8::${hex()}`,
    () => `2001:db8:${hex()}::${hex()}:${hex()}`,
    () => `2001:0db8:${[1, 2, 3, 4, 5, 6].map(() => hex().padStart(4, "0")).join(":")}`,
  ])();
}
