import { CodedError } from "@millrace/errors";
import type { IndexedContent, SearchRequest } from "./index-protocol.js";

export const resultsMax = 1000;

const contentId = /^[0-9a-f]{32}$/;

export function checkEntries(
  entries: readonly IndexedContent[],
  packedVectors: Float32Array,
  dimensions: number,
): void {
  if (packedVectors.length !== entries.length * dimensions) {
    const found = `${packedVectors.length} numbers for ${entries.length} contents`;
    throw refusal(
      `upsert of ${found} in an index of ${dimensions} dimensions`,
      "packedVectors",
      "Pack one vector per content, in order.",
    );
  }
  for (const [at, entry] of entries.entries()) {
    if (!contentId.test(entry.id)) {
      throw refusal("upsert of a content whose id is not 32 lower-case hex digits", `entries[${at}].id`);
    }
    checkVector(packedVectors.subarray(at * dimensions, (at + 1) * dimensions), `packedVectors[${at}]`);
  }
}

export function checkSearch(request: SearchRequest, dimensions: number): void {
  const { vector, maxResults, minScore = 0 } = request;
  if (vector.length !== dimensions) {
    throw refusal(
      `search with ${vector.length} dimensions in an index of ${dimensions}`,
      "vector",
      "Embed the query with the model of the index.",
    );
  }
  checkVector(vector, "vector");
  if (!Number.isInteger(maxResults) || maxResults < 1 || maxResults > resultsMax) {
    throw refusal(`search for ${maxResults} results`, "maxResults", `Ask for 1 to ${resultsMax}.`);
  }
  if (!(minScore >= -1 && minScore <= 1)) {
    throw refusal(`search with a least score of ${minScore}`, "minScore", "A score is between -1 and 1.");
  }
}

/** A vector has a direction: all its numbers are finite and one is not zero. */
function checkVector(vector: Float32Array, field: string): void {
  let squares = 0;
  for (let lane = 0; lane < vector.length; lane++)
    squares += (vector[lane] as number) * (vector[lane] as number);
  if (squares > 0 && Number.isFinite(squares)) return;
  const found = squares === 0 ? "is zero" : "has a number that is not finite";
  throw refusal(`a vector that ${found} has no direction to compare`, field);
}

function refusal(message: string, field: string, remedy?: string): CodedError {
  return new CodedError("invalid_argument", message, remedy === undefined ? { field } : { field, remedy });
}
