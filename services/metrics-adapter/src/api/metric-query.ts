import { CodedError } from "@millrace/errors";
import type { SourceMetric } from "../sampling/source-samples.js";
import { type Labels, parseSelector, selectLabels } from "./label-selector.js";

export const stages = ["privacy", "inference", "search", "results", "store", "kafka"] as const;
export type Stage = (typeof stages)[number];

export const lanes = ["high", "batch"] as const;
export type Lane = (typeof lanes)[number];

/** What is asked for, one value each. */
export type Query =
  | { of: "stage"; metric: StageMetric; stage: Stage; lane: Lane | undefined }
  | { of: "ledger"; metric: LedgerMetric; stage: Stage }
  | { of: "sources"; metric: SourceMetric }
  | { of: "buffer" }
  | { of: "open_streams" }
  | { of: "search_p99_ms" };

/** Told by the consumers of a stage. */
export type StageMetric = "lag_seconds" | "lag_batches" | "oldest_age_seconds";
/** Told by the LEDGER, which does not know lanes. */
export type LedgerMetric = "lag_messages" | "lag_bytes";

/** One value, and the labels that it is told with. */
export interface Series {
  labels: Readonly<Record<string, string>>;
  query: Query;
}

const ofStage: readonly string[] = ["lag_seconds", "lag_batches", "oldest_age_seconds"];
const ofLedger: readonly string[] = ["lag_messages", "lag_bytes"];

const ofSources: readonly string[] = ["source_lag_messages", "source_lag_seconds"];

export const metricNames: readonly string[] = [
  ...ofStage,
  ...ofLedger,
  ...ofSources,
  "open_streams",
  "search_p99_ms",
];

/** Errors: `not_found` for a metric, `invalid_argument` for a selector. */
export function seriesOf(metric: string, selector: string): Series[] {
  const wanted = parseSelector(selector);
  if (isStageMetric(metric)) {
    const selected = selectLabels(wanted, { stage: stages, lane: lanes });
    return required(selected).flatMap((stage) =>
      (selected.get("lane") ?? [undefined]).map((lane) => stageSeries(metric, stage as Stage, lane as Lane)),
    );
  }
  if (isLedgerMetric(metric)) {
    const labels: Labels = { stage: metric === "lag_bytes" ? ["buffer", ...stages] : stages };
    return required(selectLabels(wanted, labels)).map((stage) =>
      stage === "buffer"
        ? { labels: { stage }, query: { of: "buffer" } }
        : { labels: { stage }, query: { of: "ledger", metric, stage: stage as Stage } },
    );
  }
  if (isSourceMetric(metric)) {
    selectLabels(wanted, {});
    return [{ labels: {}, query: { of: "sources", metric } }];
  }
  if (metric !== "open_streams" && metric !== "search_p99_ms") {
    throw new CodedError("not_found", `there is no metric ${metric}`, {
      field: "metric",
      remedy: `Known: ${metricNames.join(", ")}.`,
    });
  }
  selectLabels(wanted, {});
  return [{ labels: {}, query: { of: metric } }];
}

const isStageMetric = (metric: string): metric is StageMetric => ofStage.includes(metric);
const isSourceMetric = (metric: string): metric is SourceMetric => ofSources.includes(metric);
const isLedgerMetric = (metric: string): metric is LedgerMetric => ofLedger.includes(metric);

/** A sum over stages would scale one for the lag of another. */
function required(selected: ReadonlyMap<string, string[]>): string[] {
  const asked = selected.get("stage");
  if (asked !== undefined) return asked;
  throw new CodedError("invalid_argument", "labelSelector: the stage is not named", {
    field: "labelSelector",
    remedy: `Name it: stage=${stages.join(", stage=")}.`,
  });
}

function stageSeries(metric: StageMetric, stage: Stage, lane: Lane | undefined): Series {
  const labels = lane === undefined ? { stage } : { stage, lane };
  return { labels, query: { of: "stage", metric, stage, lane } };
}
