import type { OpenBatch } from "@millrace/envelope";
import type { Ledger } from "@millrace/messaging";

export const countDead =
  (ledger: Ledger) =>
  (open: OpenBatch, rows: readonly number[]): void =>
    ledger.settle(open.header, { intervals: [], dead: rows.length });
