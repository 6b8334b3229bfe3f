/**
 * Byte classes of UTF-8 text. A byte of 0x80 and above is settled by its whole character, see `isLetterAt`.
 */
export const DIGIT = 1;
export const LETTER = 2;
export const HEX = 4;
/** May stand between the digit groups of a number: space ( ) - . / */
export const SEPARATOR = 8;
/**
 * ASCII that may stand in an e-mail's local part without quoting and is not a delimiter in URLs, CSV or
 * prose.
 */
export const LOCAL_PART = 16;

export const byteClass: Uint8Array = new Uint8Array(256);
mark("0123456789", DIGIT | HEX | LOCAL_PART);
mark("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", LETTER | LOCAL_PART);
mark("abcdefABCDEF", HEX);
mark(" ()-./", SEPARATOR);
mark("._%+-'~", LOCAL_PART);

function mark(characters: string, flags: number): void {
  for (const character of characters) {
    const byte = character.charCodeAt(0);
    byteClass[byte] = (byteClass[byte] as number) | flags;
  }
}

export function isClass(byte: number | undefined, flags: number): boolean {
  return byte !== undefined && ((byteClass[byte] as number) & flags) !== 0;
}

/**
 * Whether a word goes on just before `at`. A JSON escape such as `\n` ends a word although its last byte is
 * a letter.
 */
export function isWordBefore(bytes: Uint8Array, from: number, at: number): boolean {
  if (at <= from) return false;
  const byte = bytes[at - 1] as number;
  if (byte >= 0x80) return isLetterAt(bytes, characterStart(bytes, from, at - 1), at);
  if (byte === 0x5f) return true;
  if (!isClass(byte, DIGIT | LETTER)) return false;
  const code = at - 6 >= from && isEscaped(bytes, from, at - 5) ? unicodeEscapeAt(bytes, at - 5, at) : -1;
  if (code >= 0) return wordCharacter.test(String.fromCharCode(code));
  return !(isEscapeLetter(byte) && isEscaped(bytes, from, at - 1));
}

const wordCharacter = /[\p{L}\p{N}_]/u;

/** Whether a word goes on at `at`. */
export function isWordAfter(bytes: Uint8Array, at: number, to: number): boolean {
  if (at >= to) return false;
  const byte = bytes[at] as number;
  if (byte >= 0x80) return isLetterAt(bytes, at, to);
  return byte === 0x5f || isClass(byte, DIGIT | LETTER);
}

/** First byte of the character that holds `at`; UTF-8 has at most three continuation bytes. */
export function characterStart(bytes: Uint8Array, from: number, at: number): number {
  let start = at;
  while (start > from && start > at - 3 && ((bytes[start] as number) & 0xc0) === 0x80) start--;
  return start;
}

/**
 * Whether the character of 0x80 and above at `at` counts as a letter. Everything does except U+00A0–00BF,
 * U+2000–2BFF (spaces, dashes, quotes, symbols), U+3000–303F, full-width punctuation and the emoji of plane
 * 1.
 */
export function isLetterAt(bytes: Uint8Array, at: number, to: number): boolean {
  const lead = bytes[at] as number;
  const second = at + 1 < to ? (bytes[at + 1] as number) : 0;
  const third = at + 2 < to ? (bytes[at + 2] as number) : 0;
  switch (lead) {
    case 0xc2:
      return second === 0xaa || second === 0xb5 || second === 0xba;
    case 0xe2:
      return second >= 0xb0;
    case 0xe3:
      return second !== 0x80;
    case 0xef:
      return !(second === 0xbb || second === 0xbf || (second === 0xbc && (third < 0x90 || third === 0x9a)));
    case 0xf0:
      return second !== 0x9f;
    default:
      return true;
  }
}

/** Whether the byte at `at` follows an odd number of backslashes, as the second byte of an escape does. */
export function isEscaped(bytes: Uint8Array, from: number, at: number): boolean {
  let start = at;
  while (start > from && bytes[start - 1] === 0x5c) start--;
  return ((at - start) & 1) === 1;
}

/** The letter of one of JSON's short escapes: \b \f \n \r \t. */
export function isEscapeLetter(byte: number): boolean {
  return byte === 0x62 || byte === 0x66 || byte === 0x6e || byte === 0x72 || byte === 0x74;
}

/** The code of `uXXXX` at `at`, or -1. */
export function unicodeEscapeAt(bytes: Uint8Array, at: number, to: number): number {
  if (at + 5 > to || bytes[at] !== 0x75) return -1;
  let code = 0;
  for (let i = at + 1; i < at + 5; i++) {
    const byte = bytes[i] as number;
    if (!isClass(byte, HEX)) return -1;
    code = code * 16 + (byte < 0x3a ? byte - 0x30 : (byte | 0x20) - 0x57);
  }
  return code;
}
