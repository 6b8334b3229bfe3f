import { addLine, emptySum, type LineSum } from "../pipeline/line-sum.js";
import { createLineMaker } from "../pipeline/line-maker.js";

const headBytes = '{"number":12345678,'.length;
/** Different lines; a number in front makes each message unlike any other. */
const poolSize = 4_096;

/** Texts of one length that cost their sender next to nothing, and what must be stored of them. */
export interface NumberedTexts {
  text(number: number): string;
  /** The sum of the stored lines with the numbers below `count`. */
  expected(count: number): LineSum;
}

export function createNumberedTexts(of: { bytes: number; personal: number; seed: number }): NumberedTexts {
  const { bytes, personal, seed } = of;
  // A made line has a line feed and a brace that the head stands in for.
  const lineBytes = bytes - headBytes + 2;
  const maker = createLineMaker({ lineBytes, personal, seed, firstSequence: 0 });
  const target = Buffer.alloc(lineBytes);
  const given: string[] = [];
  const stored: string[] = [];
  for (let made = 0; made < poolSize; made++) {
    stored.push(maker.write(target, 0).toString("latin1").slice(1));
    given.push(target.toString("latin1", 1, lineBytes - 1));
  }
  const head = (number: number): string => `{"number":${String(number).padStart(8)},`;
  return {
    text: (number) => head(number) + (given[number % poolSize] ?? ""),
    expected: (count) => {
      const sum = emptySum();
      for (let number = 0; number < count; number++) {
        addLine(sum, Buffer.from(head(number) + (stored[number % poolSize] ?? ""), "latin1"));
      }
      return sum;
    },
  };
}
