import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** Names are `millrace_<noun>_<unit>[_total]`; labels are bounded sets, never ids. */
export interface Metrics {
  counter(name: string, help: string, labels?: readonly string[]): Counter;
  gauge(name: string, help: string, labels?: readonly string[]): Gauge;
  histogram(name: string, help: string, labels?: readonly string[]): Histogram;
  /** Prometheus text format. */
  text(): Promise<string>;
}

/** 0.25 ms to 16 s: from one hop inside a machine to a broker that was away. */
const durationBuckets = [
  0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1, 4, 16,
];

export function createMetrics(service: string, instance: string): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ service, instance });
  collectDefaultMetrics({ register: registry });
  const made = new Map<string, Counter | Gauge | Histogram>();
  const once = <T extends Counter | Gauge | Histogram>(name: string, make: () => T): T => {
    const known = made.get(name);
    if (known !== undefined) return known as T;
    const metric = make();
    made.set(name, metric);
    return metric;
  };
  const registers = [registry];
  return {
    counter: (name, help, labelNames = []) =>
      once(name, () => new Counter({ name, help, labelNames, registers })),
    gauge: (name, help, labelNames = []) =>
      once(name, () => new Gauge({ name, help, labelNames, registers })),
    histogram: (name, help, labelNames = []) =>
      once(name, () => new Histogram({ name, help, labelNames, registers, buckets: durationBuckets })),
    text: () => registry.metrics(),
  };
}
