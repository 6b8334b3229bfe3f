import { assert } from "@millrace/errors";

/**
 * A Kubernetes quantity, in thousandths where it is no whole number: rounded up, so that what is more than
 * nothing never becomes nothing.
 */
export function quantityOf(value: number): string {
  assert(Number.isFinite(value) && value >= 0, `a quantity is a number from zero on, not ${value}`);
  if (Number.isInteger(value)) return BigInt(value).toString();
  return `${BigInt(Math.ceil(value * 1000))}m`;
}
