import { CodedError } from "@millrace/errors";
import type { StreamRegistry } from "@millrace/messaging";
import type { CleanRequest, CleanResponse } from "@millrace/proto/work";
import { filterName } from "../filter/filter-names.js";
import type { Filters } from "../filter/filters.js";
import { cleanBody } from "../redact/clean-body.js";
import { redactText } from "../redact/detect-text.js";

/** A request holds a search text, a few names, or a few contents; more is a mistake. */
const itemsMax = 1_000;

/** Cleans what doesn't travel as batches; it lives in memory only. */
export const cleanTexts =
  ({ filters, registry }: { filters: Filters; registry: StreamRegistry }) =>
  async (request: CleanRequest): Promise<CleanResponse> => {
    const { texts, names, bodies } = request;
    if (texts.length + names.length + bodies.length > itemsMax) {
      throw new CodedError("invalid_argument", "clean: too many items", {
        remedy: `Send at most ${itemsMax}.`,
      });
    }
    const stream = request.stream === "" ? undefined : await registry.find(request.tenant, request.stream);
    // What an exempt stream took in passed as it was, and is asked for by the same names.
    if (stream?.privacy?.exempt === true) {
      return { texts, names, bodies: bodies.map((body) => ({ body, places: [] })), policy: "" };
    }
    const filter = filters.of(stream);
    return {
      texts: texts.map((text) => redactText(text, filter.scanner)),
      names: names.map((name) => filterName(filter, name)),
      bodies: bodies.map((body) => cleanBody(body, filter.scanner)),
      policy: filter.hash,
    };
  };
