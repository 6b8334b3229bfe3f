import { crc32 } from "node:zlib";

/** Values as a whole, in whatever order they came. */
export interface TopicSum {
  count: number;
  sum: number;
}

export const emptyTopicSum = (): TopicSum => ({ count: 0, sum: 0 });

/** Exact: below 2^53 for two million values. */
export function addValue(to: TopicSum, value: Buffer | string): void {
  to.count += 1;
  to.sum += crc32(value);
}
