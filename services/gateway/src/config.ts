import { baseConfig } from "@millrace/runtime";
import { z } from "zod";

const port = z.int().min(0).max(65535);

export const gatewayConfig = z.strictObject({
  ...baseConfig,
  http: z
    .strictObject({
      /** The address that is listened on. */
      host: z.string().default("127.0.0.1"),
      /** Probes and metrics. 0 takes any free port. */
      port: port.default(7071),
    })
    .prefault({}),
  /** The public API. */
  grpc: z
    .strictObject({
      /** The address that is listened on; keep it on loopback without `auth` and `tls`. */
      host: z.string().default("127.0.0.1"),
      /** 0 takes any free port. */
      port: port.default(7070),
      /** The certificate that callers see; absent: in the clear. Renewed files are used without a restart. */
      tls: z
        .strictObject({
          /** The certificate and what leads to its CA, in PEM. */
          certFile: z.string(),
          /** Its key, in PEM. */
          keyFile: z.string(),
        })
        .optional(),
    })
    .prefault({}),
  /** With it each call but health needs a token. */
  auth: z
    .strictObject({
      /**
       * `{"tokens":[{"name":"app","sha256":"<hex of the token>","role":"user"}]}`; role `privacy` may exempt
       * streams from the filter. Read anew when it changes.
       */
      tokensFile: z.string(),
    })
    .optional(),
  buffer: z
    .strictObject({
      /** Where buffer's internal API is reached. */
      address: z.string().default("127.0.0.1:7073"),
    })
    .prefault({}),
  privacy: z
    .strictObject({
      /**
       * Where callers are not asked who they are (no `auth`): all of them hold the privacy role, and may
       * exempt streams from the filter.
       */
      exemptAllowed: z.boolean().default(false),
    })
    .prefault({}),
  replay: z
    .strictObject({
      /**
       * Where output's files can be read, and linked below `.replay` while they are; without it only results
       * can be replayed.
       */
      storageDir: z.string().optional(),
    })
    .prefault({}),
  limits: z
    .strictObject({
      /** Published and not yet durable, over all streams; beyond it publishes are refused. */
      pendingBytesMax: z
        .int()
        .min(1024 * 1024)
        .default(64 * 1024 * 1024),
      /** Open calls of PublishStream, WatchEvents and Replay; each holds up to 13 MiB. */
      openStreamsMax: z.int().min(1).default(256),
      /** Open calls of Subscribe; they share what is read, and one that is behind holds 16 results more. */
      subscribersMax: z.int().min(1).default(2_048),
      /** Bytes of results kept for subscribers, over all streams; 4 MiB of a stream at most. */
      resultBytesMax: z
        .int()
        .min(1024 * 1024)
        .default(32 * 1024 * 1024),
      /**
       * Idempotency keys remembered for 10 minutes, about 0.3 KB each; beyond it keyed publishes are refused.
       */
      rememberedKeysMax: z.int().min(1).default(500_000),
    })
    .prefault({}),
});

export type GatewayConfig = z.infer<typeof gatewayConfig>;
