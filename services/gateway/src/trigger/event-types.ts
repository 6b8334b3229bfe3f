/** What WatchEvents tells, and what triggers act on. */
export const eventTypes: readonly string[] = [
  "new_data",
  "dead_letter",
  "source_failed",
  "source_gap",
  "privacy_exempted",
  "backpressure",
  "privacy_violation",
  "similarity_threshold",
  "notification",
];
