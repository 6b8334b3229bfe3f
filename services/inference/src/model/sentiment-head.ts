import { CodedError } from "@millrace/errors";
import { z } from "zod";

export const sentimentLabels = ["negative", "neutral", "positive"] as const;
export type SentimentLabel = (typeof sentimentLabels)[number];

export interface Sentiment {
  /** The likeliest of the three. */
  label: SentimentLabel;
  /** P(positive) - P(negative), -1 to 1. */
  score: number;
}

/** Reads the sentiment of a text off its passage embedding. */
export type SentimentHead = (vector: Float32Array) => Sentiment;

const headFile = z.object({
  model: z.string(),
  classes: z.tuple([z.literal("negative"), z.literal("neutral"), z.literal("positive")]),
  weights: z.array(z.array(z.number())).length(3),
  bias: z.array(z.number()).length(3),
});

/**
 * A multinomial logistic regression, trained by `models/train/`: softmax(weights * vector + bias).
 *
 * @param model name and dimensions of the model whose vectors it is for; another model's vectors mean nothing
 * to it.
 */
export function sentimentHead(json: string, model: { name: string; dimensions: number }): SentimentHead {
  const head = readHead(json);
  const fits = head.model === model.name && head.weights.every((row) => row.length === model.dimensions);
  if (!fits) {
    throw new CodedError(
      "failed_precondition",
      `the sentiment head of ${head.model} does not fit ${model.name}`,
    );
  }
  const weights = head.weights.map((row) => Float64Array.from(row));
  return (vector) => {
    const logits = weights.map((row, k) => (head.bias[k] ?? 0) + dot(row, vector));
    const highest = Math.max(...logits);
    const powers = logits.map((logit) => Math.exp(logit - highest));
    const sum = powers.reduce((total, power) => total + power, 0);
    const [negative = 0, , positive = 0] = powers.map((power) => power / sum);
    return { label: sentimentLabels[logits.indexOf(highest)] ?? "neutral", score: positive - negative };
  };
}

function readHead(json: string): z.infer<typeof headFile> {
  try {
    return headFile.parse(JSON.parse(json));
  } catch (cause) {
    throw new CodedError("failed_precondition", "the sentiment head file makes no sense", { cause });
  }
}

function dot(row: Float64Array, vector: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += (row[i] ?? 0) * (vector[i] ?? 0);
  return sum;
}
