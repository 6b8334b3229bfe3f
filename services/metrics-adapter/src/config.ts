import { baseConfig } from "@millrace/runtime";
import { z } from "zod";

/** A name that stands for all pods of a service, such as that of a headless Service. */
const pods = z.string().regex(/^[A-Za-z0-9.-]+:\d{1,5}$/, "must be host:port");

export const metricsAdapterConfig = z.strictObject({
  ...baseConfig,
  /** The namespace whose metrics are served: that of the release. */
  namespace: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "must be the name of a namespace"),
  /** Where the API server reaches this one, by HTTPS. */
  serving: z.strictObject({
    /** The address that is listened on. */
    host: z.string().default("127.0.0.1"),
    /** 0 takes any free port. */
    port: z.int().min(0).max(65535).default(6443),
    /** Certificate in PEM, read again when it changes. */
    certFile: z.string(),
    /** Its key in PEM. */
    keyFile: z.string(),
  }),
  /** Whose `/metrics` are read: of every address that the name has. What is left out is unknown. */
  scrape: z
    .strictObject({
      /** For `open_streams`. */
      gateway: z.optional(pods),
      /** For `search_p99_ms`. */
      search: z.optional(pods),
      /** For `lag_bytes`. */
      buffer: z.optional(pods),
    })
    .prefault({}),
  kubernetes: z
    .strictObject({
      /** Left out: the service account of the pod. */
      kubeconfig: z.string().optional(),
    })
    .prefault({}),
});

export type MetricsAdapterConfig = z.infer<typeof metricsAdapterConfig>;
