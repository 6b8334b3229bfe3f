import { baseConfig } from "@millrace/runtime";
import { z } from "zod";

const { nats, tls, logLevel } = baseConfig;

export const provisionConfig = z.strictObject({
  nats,
  tls,
  logLevel,
  /** Bytes of the broker's store that Millrace may fill; less than the volume holds. */
  storeBytes: z.int().min(64 * 1024 * 1024),
  /** Servers of the broker that hold a copy of each: 1, or 3 of a cluster. */
  replicas: z.union([z.literal(1), z.literal(3), z.literal(5)]).default(1),
  /** How long the broker may take to be there, with JetStream and enough servers. */
  waitMs: z.int().min(1_000).max(3_600_000).default(180_000),
});

export type ProvisionConfig = z.infer<typeof provisionConfig>;
