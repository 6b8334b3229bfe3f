import { CodedError } from "@millrace/errors";
import type { StreamRegistry } from "@millrace/messaging";
import type { CleanRequest, CleanResponse } from "@millrace/proto/work";
import { filterName } from "../filter/filter-names.js";
import type { Filters } from "../filter/filters.js";
import { redactText } from "../redact/detect-text.js";

/** A request holds a search text or a few names; more is a mistake. */
const itemsMax = 1_000;

/** Cleans texts and names of requests that don't travel as batches; they live in memory only. */
export const cleanTexts =
  ({ filters, registry }: { filters: Filters; registry: StreamRegistry }) =>
  async (request: CleanRequest): Promise<CleanResponse> => {
    if (request.texts.length + request.names.length > itemsMax) {
      throw new CodedError("invalid_argument", "clean: too many items", {
        remedy: `Send at most ${itemsMax}.`,
      });
    }
    const stream = request.stream === "" ? undefined : await registry.find(request.tenant, request.stream);
    // What an exempt stream took in passed as it was, and is asked for by the same names.
    if (stream?.privacy?.exempt === true) return { texts: request.texts, names: request.names };
    const filter = filters.of(stream);
    return {
      texts: request.texts.map((text) => redactText(text, filter.scanner)),
      names: request.names.map((name) => filterName(filter, name)),
    };
  };
