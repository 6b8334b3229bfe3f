import assert from "node:assert/strict";
import test from "node:test";
import { type CountryCode, getCountries, getExampleNumber } from "libphonenumber-js/min";
import examples from "libphonenumber-js/mobile/examples";
import { foundIn } from "./quality/found-in.js";

const numbers = [
  "+49 30 1234567",
  "+493012345678",
  "+44 (0)20 7946 0958",
  "+44 7700 900123",
  "+1 (212) 555-0123",
  "+1-555-123-4567",
  "0049 30 1234567",
  "(212) 555-0123",
  "212-555-0123",
  "212.555.0123",
  "212 555-0123",
  "1-212-555-0123",
  "030 / 123 45 67",
  "(030) 123456",
  "0171-1234567",
  "020 7946 0958",
  "01 23 45 67 89",
  "01.23.45.67.89",
  "(11) 91234-5678",
];

test("finds international and national numbers as people write them", () => {
  for (const number of numbers) {
    assert.deepEqual(foundIn(`call ${number}, please`), [`PHONE ${number}`]);
    assert.deepEqual(foundIn(`{"phone":"${number}"}`), [`PHONE ${number}`]);
  }
});

/** Their numbers have six digits or fewer after the calling code: too few to tell from other numbers. */
const tooShort: ReadonlySet<CountryCode> = new Set<CountryCode>(["TA", "TK"]);

test("finds a mobile number of every country in its international forms", () => {
  for (const country of getCountries()) {
    const number = getExampleNumber(country, examples);
    if (number === undefined || tooShort.has(country)) continue;
    for (const text of [number.number, number.formatInternational()]) {
      assert.deepEqual(foundIn(`call ${text} now`), [`PHONE ${text}`]);
    }
  }
});

test("takes no timestamp, id, date, decimal, version or table for a number", () => {
  const others = [
    "1763842000000",
    "1763842000",
    "2125550123",
    "2026-11-22 10:00:00",
    "22.11.2026 10.30",
    "01.02.2026 10",
    "978-3-16-148410-0",
    "978-0-306-40615-7",
    "1.234.567,89",
    "00-11-22-33-44-55",
    "order-212-555-0123",
    "/orders/212-555-0123",
    "123 212 555 0123 456",
    "112-555-0123",
    "212-155-0123",
    "+1763842000000",
    "+12345",
    "+0 30 1234567",
    "0.123 456 789",
  ];
  for (const text of others) assert.deepEqual(foundIn(`x ${text} y`), [], text);
});
