import { CodedError } from "@millrace/errors";

/**
 * The BERT uncased tokenizer, in three steps:
 *
 *   text ──split──► words and single marks, lower-cased, accents off ──cut──► pieces of the vocabulary
 *
 * It gives the same ids as Hugging Face's `tokenizers` with `encode_special_tokens` on (BertNormalizer,
 * BertPreTokenizer, WordPiece): text from outside cannot write a special token such as [SEP].
 * Algorithm: Devlin et al., "BERT", 2018, and its reference `tokenization.py`, written anew.
 */
export interface WordPiece {
  /** At most `tokensMax` tokens, [CLS] and [SEP] included. */
  encode(text: string, tokensMax: number): Encoding;
}

export interface Encoding {
  ids: number[];
  /** Token i covers text.slice(starts[i], ends[i]), in UTF-16 units; [CLS] and [SEP] cover nothing (0, 0). */
  starts: number[];
  ends: number[];
  /** True when the text had more tokens than were asked for. */
  truncated: boolean;
}

/** How a word falls into pieces: ids[i] covers units ends[i - 1] (0 for the first) to ends[i] of the word. */
interface Cut {
  ids: readonly number[];
  ends: readonly number[];
}

/** A word of the text, normalised; its UTF-16 unit i comes from text.slice(bounds[2i], bounds[2i + 1]). */
interface Word {
  text: string;
  bounds: number[];
}

interface Vocabulary {
  /** Pieces that may begin a word, and pieces that go on with one (without their "##"). */
  first: ReadonlyMap<string, number>;
  next: ReadonlyMap<string, number>;
  unknown: number;
  begin: number;
  end: number;
  /** Length of the longest piece, in UTF-16 units. */
  pieceMax: number;
}

/** A longer word is one unknown token, as in the reference; in code points. */
const wordCharactersMax = 100;

/**
 * Words remembered with their cut: about 100 B each, so 2 MB per tokenizer. English text hits 95 % of the
 * time.
 */
const cachedWordsMax = 20_000;
const cachedWordUnitsMax = 24;

const drop = 0;
const space = 1;
const mark = 2;
const letter = 3;
type CharacterClass = typeof drop | typeof space | typeof mark | typeof letter;

const ascii: readonly CharacterClass[] = Array.from({ length: 128 }, (_, code) => {
  if (code === 9 || code === 10 || code === 13 || code === 32) return space;
  if (code < 32 || code === 127) return drop;
  return /[!-/:-@[-`{-~]/.test(String.fromCharCode(code)) ? mark : letter;
});

const controlPattern = /^[\p{Cc}\p{Cf}\p{Co}\p{Cs}]$/u;
const spacePattern = /^\p{White_Space}$/u;
const punctuationPattern = /^\p{P}$/u;
const accentPattern = /^\p{Mn}$/u;

/**
 * The blocks of Chinese characters as BERT lists them: each character is a word. First and last, inclusive.
 */
const ideographs: readonly (readonly [number, number])[] = [
  [0x4e00, 0x9fff],
  [0x3400, 0x4dbf],
  [0x20000, 0x2a6df],
  [0x2a700, 0x2b73f],
  [0x2b740, 0x2b81f],
  [0x2b920, 0x2ceaf],
  [0xf900, 0xfaff],
  [0x2f800, 0x2fa1f],
];

/** @param vocabularyText one piece per line, the line number its id, as `vocab.txt` of the BERT models. */
export function wordPiece(vocabularyText: string): WordPiece {
  const vocabulary = readVocabulary(vocabularyText);
  const cache = new Map<string, Cut>();
  const cutCached = (word: string): Cut => {
    const known = cache.get(word);
    if (known !== undefined) return known;
    const cut = cutWord(word, vocabulary);
    if (cache.size < cachedWordsMax && word.length <= cachedWordUnitsMax) cache.set(word, cut);
    return cut;
  };
  return { encode: (text, tokensMax) => encode(text, tokensMax, { vocabulary, cut: cutCached }) };
}

function encode(
  text: string,
  tokensMax: number,
  { vocabulary, cut }: { vocabulary: Vocabulary; cut: (word: string) => Cut },
): Encoding {
  const ids = [vocabulary.begin];
  const starts = [0];
  const ends = [0];
  const withoutEnd = tokensMax - 1;
  splitWords(text, (word) => {
    const pieces = cut(word.text);
    let from = 0;
    for (const [i, id] of pieces.ids.entries()) {
      const to = pieces.ends[i] ?? word.text.length;
      ids.push(id);
      starts.push(word.bounds[2 * from] ?? 0);
      ends.push(word.bounds[2 * to - 1] ?? 0);
      from = to;
    }
    return ids.length <= withoutEnd;
  });
  const truncated = ids.length > withoutEnd;
  for (const column of [ids, starts, ends]) column.length = Math.min(column.length, withoutEnd);
  ids.push(vocabulary.end);
  starts.push(0);
  ends.push(0);
  return { ids, starts, ends, truncated };
}

/** Hands each word to `visit`, in order, until it answers false. */
function splitWords(text: string, visit: (word: Word) => boolean): void {
  let word: Word = { text: "", bounds: [] };
  const flush = (): boolean => {
    if (word.text === "") return true;
    const done = word;
    word = { text: "", bounds: [] };
    return visit(done);
  };
  const single = (character: string, start: number, end: number): boolean => {
    if (!flush()) return false;
    add(word, character, [start, end]);
    return flush();
  };
  for (let at = 0; at < text.length; ) {
    const start = at;
    const code = text.codePointAt(at) ?? 0;
    at += code > 0xffff ? 2 : 1;
    const kind = code < 128 ? (ascii[code] ?? drop) : classOf(code);
    if (kind === letter && code < 128) add(word, lowerAscii(code), [start, at]);
    else if (kind === letter && isIdeograph(code)) {
      if (!single(String.fromCodePoint(code).normalize("NFD"), start, at)) return;
    } else if (kind === letter) {
      for (const plain of plainCharacters(code)) {
        if (!isMark(plain)) add(word, plain, [start, at]);
        else if (!single(plain, start, at)) return;
      }
    } else if (kind === mark) {
      if (!single(String.fromCodePoint(code), start, at)) return;
    } else if (kind === space && !flush()) return;
  }
  flush();
}

function add(word: Word, characters: string, [start, end]: readonly [number, number]): void {
  word.text += characters;
  for (let unit = 0; unit < characters.length; unit++) word.bounds.push(start, end);
}

function lowerAscii(code: number): string {
  return String.fromCharCode(code >= 65 && code <= 90 ? code + 32 : code);
}

/** The class of a code point beyond ASCII; a punctuation mark may still come out of its decomposition. */
function classOf(code: number): CharacterClass {
  const character = String.fromCodePoint(code);
  if (code === 0xfffd || controlPattern.test(character)) return drop;
  return spacePattern.test(character) ? space : letter;
}

/**
 * A character without its accents, in lower case: "É" gives "e", "ﷺ" several letters, a lone accent nothing.
 */
function plainCharacters(code: number): string[] {
  const base = [...String.fromCodePoint(code).normalize("NFD")].filter((c) => !accentPattern.test(c));
  return [...base.join("").toLowerCase()];
}

function isMark(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  return code < 128 ? ascii[code] === mark : punctuationPattern.test(character);
}

function isIdeograph(code: number): boolean {
  return code >= 0x3400 && ideographs.some(([first, last]) => code >= first && code <= last);
}

/** The longest piece first, again and again; a word with a part that no piece fits is unknown as a whole. */
function cutWord(word: string, vocabulary: Vocabulary): Cut {
  const whole: Cut = { ids: [vocabulary.unknown], ends: [word.length] };
  if (word.length > wordCharactersMax && [...word].length > wordCharactersMax) return whole;
  const ids: number[] = [];
  const ends: number[] = [];
  for (let from = 0; from < word.length; ) {
    const pieces = from === 0 ? vocabulary.first : vocabulary.next;
    let to = Math.min(word.length, from + vocabulary.pieceMax);
    let id = pieces.get(word.slice(from, to));
    while (id === undefined && --to > from) id = pieces.get(word.slice(from, to));
    if (id === undefined) return whole;
    ids.push(id);
    ends.push(to);
    from = to;
  }
  return { ids, ends };
}

function readVocabulary(vocabularyText: string): Vocabulary {
  const pieces = vocabularyText.split("\n");
  if (pieces.at(-1) === "") pieces.pop();
  const first = new Map<string, number>();
  const next = new Map<string, number>();
  let pieceMax = 1;
  for (const [id, piece] of pieces.entries()) {
    first.set(piece, id);
    if (piece.startsWith("##")) next.set(piece.slice(2), id);
    pieceMax = Math.max(pieceMax, piece.length);
  }
  const special = (piece: string): number => {
    const id = first.get(piece);
    if (id !== undefined) return id;
    throw new CodedError("failed_precondition", `the vocabulary has no ${piece}, so it is not one of BERT`, {
      remedy: "Run: npx millrace models pull",
    });
  };
  return {
    first,
    next,
    unknown: special("[UNK]"),
    begin: special("[CLS]"),
    end: special("[SEP]"),
    pieceMax,
  };
}
