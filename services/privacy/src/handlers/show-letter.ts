import { type OpenBatch, wholeBatch } from "@millrace/envelope";
import type { Trial } from "@millrace/messaging";
import { filterOpenBatch, redactHere } from "../filter/filter-body.js";
import type { Filters } from "../filter/filters.js";

/**
 * The message of a letter as every detector lets it pass, whatever its stream's policy says. It is tried in a
 * process of its own first: it may be dead since the filter never ends on it. Errors: what it fails with.
 */
export const showLetter =
  ({ filters, trial }: { filters: Filters; trial: Pick<Trial, "judge"> }) =>
  async (raw: OpenBatch): Promise<OpenBatch> => {
    const { failed } = await trial.judge(raw, new AbortController().signal);
    if (failed[0] !== undefined) throw failed[0].error;
    const bodies = { take: (bytes: number) => new Uint8Array(bytes), give: () => undefined };
    return wholeBatch(await filterOpenBatch(filters.of(undefined), raw, redactHere(bodies)));
  };
