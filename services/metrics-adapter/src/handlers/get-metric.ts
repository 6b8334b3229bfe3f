import { CodedError } from "@millrace/errors";
import { groupVersion } from "../api/documents.js";
import { type Query, type Series, seriesOf } from "../api/metric-query.js";
import { quantityOf } from "../api/quantity.js";
import type { Reply } from "../api/reply.js";

export interface GetMetricParts {
  /** The one namespace whose metrics are here. */
  namespace: string;
  /** Errors: `unavailable`: what is not known is never told as a number. */
  read(query: Query): Promise<number>;
  /** Milliseconds since 1970. */
  now(): number;
}

export interface MetricRequest {
  namespace: string;
  metric: string;
  selector: string;
}

/** One value for each series that the selector names; an autoscaler adds them up. */
export const getMetric =
  ({ namespace, read, now }: GetMetricParts) =>
  async (request: MetricRequest): Promise<Reply> => {
    if (request.namespace !== namespace) {
      throw new CodedError("not_found", `metrics of namespace ${request.namespace} are not served here`, {
        field: "namespace",
        remedy: `Ask for those of ${namespace}.`,
      });
    }
    const series = seriesOf(request.metric, request.selector);
    const items = await Promise.all(series.map((one) => valueOf(one)));
    return {
      status: 200,
      body: { kind: "ExternalMetricValueList", apiVersion: groupVersion, metadata: {}, items },
    };

    async function valueOf({ labels, query }: Series) {
      const value = quantityOf(await read(query));
      // In whole seconds, as Kubernetes writes times.
      const timestamp = `${new Date(now()).toISOString().slice(0, 19)}Z`;
      return { metricName: request.metric, metricLabels: labels, timestamp, value };
    }
  };
