import { open } from "node:fs/promises";

/*
 * The job as one would write it in an afternoon: read a file in pieces of whole lines, replace what regular
 * expressions find, write the rest. It knows nothing of Millrace, so it also checks what Millrace stores.
 */
const octet = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const group = "[\\da-fA-F]{1,4}";
/** Eight groups, or fewer with one `::` between them. */
const v6 = `\\b${group}:(?:(?:${group}:){6}${group}|(?:${group}:){0,5}(?::${group}){1,6})\\b`;

/** A pattern, what replaces it, and what else must hold of what was found. */
export interface PlainPattern {
  pattern: RegExp;
  replacement: string;
  check?: keyof typeof checks;
}

const checks = { card: isCard, iban: isIban };

/** In the cheapest form that was found for each: of two that find the same, the one that takes less CPU. */
export const plainPatterns: readonly PlainPattern[] = [
  { pattern: /:\/\/[^\s/:@"]+:[^\s/@"]+@/g, replacement: "://[URL_CREDENTIALS]@" },
  { pattern: /\b[\w.%+-]+@(?:[A-Za-z\d-]+\.)+[A-Za-z]{2,}/g, replacement: "[EMAIL]" },
  {
    pattern: /\b[A-Z]{2}\d\d(?: ?[A-Z\d]{4}){2,7}(?: ?[A-Z\d]{1,3})?\b/g,
    replacement: "[IBAN]",
    check: "iban",
  },
  {
    pattern: /\b(?:4|5[1-5]|3[47]|6011|65)(?:[ -]?\d){11,17}\b/g,
    replacement: "[CARD]",
    check: "card",
  },
  { pattern: /\b(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}\b/g, replacement: "[SSN]" },
  { pattern: /(?:\+1[ -])?(?:\(\d{3}\) ?|\b\d{3}[ .-])\d{3}[ .-]\d{4}\b/g, replacement: "[PHONE]" },
  { pattern: new RegExp(`\\b(?:${octet}\\.){3}${octet}\\b`, "g"), replacement: "[IP]" },
  { pattern: new RegExp(v6, "g"), replacement: "[IP]" },
];

const steps = plainPatterns.map(
  ({ pattern, replacement, check }): [RegExp, string | ((found: string) => string)] => {
    if (check === undefined) return [pattern, replacement];
    const holds = checks[check];
    return [pattern, (found) => (holds(found) ? replacement : found)];
  },
);

export function redactPlainly(text: string): string {
  let redacted = text;
  for (const [pattern, replacement] of steps) {
    redacted =
      typeof replacement === "string"
        ? redacted.replace(pattern, replacement)
        : redacted.replace(pattern, replacement);
  }
  return redacted;
}

function isCard(found: string): boolean {
  const numbers = found.replaceAll(/[ -]/g, "");
  if (numbers.length < 13 || numbers.length > 19) return false;
  let sum = 0;
  for (let at = 0; at < numbers.length; at++) {
    const digit = numbers.charCodeAt(numbers.length - 1 - at) - 48;
    const value = at % 2 === 1 ? digit * 2 : digit;
    sum += value > 9 ? value - 9 : value;
  }
  return sum % 10 === 0;
}

function isIban(found: string): boolean {
  const account = found.replaceAll(" ", "");
  let rest = 0;
  for (const char of account.slice(4) + account.slice(0, 4)) {
    const value = Number.parseInt(char, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest === 1;
}

const readBytes = 1024 * 1024;
/** What is written is synced as often as Millrace syncs. */
const syncBytes = 16 * 1024 * 1024;

/** One thread, one piece after the other; the file is synced when it returns. */
export async function redactFile(from: string, to: string, signal: AbortSignal): Promise<void> {
  const source = await open(from, "r");
  const target = await open(to, "wx");
  const buffer = Buffer.allocUnsafe(2 * readBytes);
  let held = 0;
  let unsynced = 0;
  try {
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await source.read(buffer, held, readBytes, null);
      if (bytesRead === 0) break;
      const seen = held + bytesRead;
      const end = buffer.lastIndexOf(0x0a, seen - 1) + 1;
      // Latin-1 keeps each byte, and these patterns look at ASCII only.
      const redacted = Buffer.from(redactPlainly(buffer.toString("latin1", 0, end)), "latin1");
      await target.write(redacted);
      buffer.copy(buffer, 0, end, seen);
      held = seen - end;
      unsynced += redacted.length;
      if (unsynced < syncBytes) continue;
      await target.datasync();
      unsynced = 0;
    }
    await target.datasync();
  } finally {
    await source.close();
    await target.close();
  }
}
