import { CodedError } from "@millrace/errors";
import type { EmbedRequest, EmbedResponse } from "@millrace/proto/work";
import { fieldOf } from "../analyse/row-texts.js";
import type { ModelPool } from "../model/model-pool.js";

const textsMax = 64;

/** Embeds the texts of a request before any batch. Search texts live in memory only. */
export const embedTexts =
  ({ pool }: { pool: ModelPool }) =>
  async (request: EmbedRequest): Promise<EmbedResponse> => {
    if (request.texts.length === 0 || request.texts.length > textsMax) {
      throw new CodedError("invalid_argument", `embed: ${request.texts.length} texts`, {
        field: "texts",
        remedy: `Send 1 to ${textsMax}.`,
      });
    }
    const kind = request.query ? "query" : "passage";
    const { textField } = request;
    const texts = textField === "" ? request.texts : request.texts.map((text) => fieldOf(text, textField));
    const { model, vectors, sentiment } = await pool.embed(texts, {
      kind,
      sentiment: request.sentiment,
      priority: "interactive",
    });
    return {
      model: model.name,
      dimensions: model.dimensions,
      vectors: new Uint8Array(vectors.buffer, vectors.byteOffset, vectors.byteLength),
      sentiments: sentiment.map(({ label, score }) => ({ label, score, model: model.name })),
    };
  };
