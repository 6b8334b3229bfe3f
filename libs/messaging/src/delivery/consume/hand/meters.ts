import type { Metrics } from "@millrace/runtime";

export interface Meters {
  settled(as: string): void;
  messages(count: number): void;
  dropped(reason: string, count: number): void;
  took(seconds: number): void;
  inHand(count: number): void;
  waiting(count: number): void;
}

/** What a consumer tells of itself, under its name. */
export function createMeters(metrics: Metrics, consumer: string): Meters {
  const settled = metrics.counter(
    "millrace_deliveries_settled_total",
    "Deliveries by how they were settled.",
    ["consumer", "disposition"],
  );
  const messages = metrics.counter("millrace_messages_processed_total", "Messages in acknowledged batches.", [
    "consumer",
  ]);
  const drops = metrics.counter("millrace_messages_dropped_total", "Messages dropped by a rule.", [
    "consumer",
    "reason",
  ]);
  const duration = metrics.histogram("millrace_handle_duration_seconds", "From delivery to settle.", [
    "consumer",
  ]);
  const inHand = metrics.gauge("millrace_deliveries_in_flight", "Deliveries in hand.", ["consumer"]);
  const waiting = metrics.gauge(
    "millrace_deliveries_waiting",
    "Deliveries waiting for what they depend on.",
    ["consumer"],
  );
  return {
    settled: (as) => settled.inc({ consumer, disposition: as }),
    messages: (count) => messages.inc({ consumer }, count),
    dropped: (reason, count) => drops.inc({ consumer, reason }, count),
    took: (seconds) => duration.observe({ consumer }, seconds),
    inHand: (count) => inHand.set({ consumer }, count),
    waiting: (count) => waiting.set({ consumer }, count),
  };
}
