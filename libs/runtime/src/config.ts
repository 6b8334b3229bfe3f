import { readFileSync } from "node:fs";
import { CodedError } from "@millrace/errors";
import { z } from "zod";
import { isAllowEntry } from "./egress/egress.js";

/** What every service is told: who it is, where its health is served, how it stops, and the broker. */
export const baseConfig = {
  /** Replica name: in metrics, segment logs and leases. MILLRACE_INSTANCE goes before it. */
  instance: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/)
    .default("0"),
  http: z
    .strictObject({
      /** The address that is listened on. */
      host: z.string().default("127.0.0.1"),
      /** Probes and metrics. 0 takes any free port. */
      port: z.int().min(0).max(65535).default(0),
    })
    .prefault({}),
  /** The least important line that is logged. */
  logLevel: z.enum(["debug", "info", "warn", "error"]).default("info"),
  /** How long in-flight work may take to finish after SIGTERM; must stay below the pod's grace period. */
  drainTimeoutMs: z.int().min(100).max(600_000).default(20_000),
  /** The process ends when its event loop has stood still for this long: a handler that loops for ever. */
  hangMsMax: z.int().min(1_000).max(600_000).default(20_000),
  /**
   * It also ends when the handler of a batch has neither returned nor come further for this long: one that
   * awaits for ever.
   */
  handlingMsMax: z.int().min(1_000).max(3_600_000).default(60_000),
  /**
   * This process's own certificate, whose DNS names hold the name of its user in the broker's permission
   * table: what a broker at `tls://` is shown.
   */
  tls: z
    .strictObject({
      /** Certificates of the CA that issued those of all services, in PEM. */
      caFile: z.string(),
      /** This service's certificate, in PEM. */
      certFile: z.string(),
      /** Its key, in PEM. */
      keyFile: z.string(),
    })
    .optional(),
  nats: z
    .strictObject({
      /** The broker; `tls://` for TLS. */
      url: z.string().default("nats://127.0.0.1:4222"),
      /** The CA of a broker at `tls://` that has another than that of `tls`. */
      caFile: z.string().optional(),
      /** File that holds the nkey seed of this service's user. */
      seedFile: z.string().optional(),
      /** The broker's monitoring address, asked whether it syncs before it acknowledges. */
      monitorUrl: z.string().optional(),
      /** Refuse to start unless the broker is known to sync before it acknowledges. */
      requireDurable: z.boolean().default(false),
    })
    .prefault({}),
};

/** What a node may be called; names of pods are among these. */
export const nodeName = /^[a-z0-9][a-z0-9.-]{0,62}$/;

/** Where bodies are served to other nodes. */
export const rangeListener = z.strictObject({
  /** The address that is listened on. */
  host: z.string(),
  /** 0 takes any free port. */
  port: z.int().min(0).max(65535),
});

/** Where a service is, whose bodies others may have to fetch. */
export const nodeConfig = {
  /**
   * Name of this machine in ranges, as buffer and the other stages on it have it. MILLRACE_NODE goes before
   * it.
   */
  node: z.string().regex(nodeName).default("local"),
};

/** What a stage is told that reads bodies: where it is, and where those of other nodes are fetched. */
export const readerConfig = {
  ...nodeConfig,
  /**
   * Where other nodes serve the bodies that lie there: `host:port` by name of the node, of
   * `rawRead` for privacy and of `cleanRead` for all others.
   */
  peers: z.record(z.string(), z.string().regex(/.:\d{1,5}$/, "must be host:port")).default({}),
  /** The same for nodes that `peers` does not name: their names go in place of `{node}`. */
  peerAddress: z
    .string()
    .regex(/^[^/]*\{node\}[^/]*:\d{1,5}$/, "must be host:port with {node} in the host")
    .optional(),
};

/** What a service is told that reaches hosts which users name, with credentials that the operator keeps. */
export const egressConfig = {
  egress: z
    .strictObject({
      /**
       * Names of hosts, addresses and networks (`10.1.0.0/16`) that a user's URL may lead to though they are
       * not public, and without TLS. A name does not cover link-local addresses: list those themselves.
       */
      allowPrivate: z
        .array(z.string().refine(isAllowEntry, "must be a host's name, an address or a network"))
        .max(256)
        .default([]),
      /** Certificates of CAs that are trusted there besides the public ones, in PEM. */
      caFile: z.string().optional(),
    })
    .prefault({}),
  /** Directory of the secrets that settings name, one a file; none: settings can name none. */
  secretsDir: z.string().optional(),
};

export type BaseConfig = z.infer<z.ZodObject<typeof baseConfig, z.core.$strict>>;

/** Parses settings; unknown keys and bad values are refused by name. The result is frozen. */
export function parseConfig<T extends z.ZodType>(schema: T, value: unknown, from: string): z.infer<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) {
    Object.freeze(parsed.data);
    return parsed.data;
  }
  const { issues } = parsed.error;
  // A name that is spelled wrong says more than that the right one is missing.
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0];
  if (issue === undefined) throw new CodedError("invalid_argument", `read config ${from}: refused`);
  const path = issue.path.join(".");
  if (issue.code === "unrecognized_keys") {
    const field = [...issue.path, issue.keys[0]].join(".");
    throw new CodedError("invalid_argument", `read config ${from}: unknown key ${field}`, {
      field,
      remedy: "Remove it or correct its name; --print-schema lists the known keys.",
    });
  }
  throw new CodedError("invalid_argument", `read config ${from}: ${path || "(root)"}: ${issue.message}`, {
    field: path,
    remedy: "Correct the value; --print-schema shows what is allowed.",
  });
}

export interface Arguments {
  configPath: string | undefined;
  checkOnly: boolean;
  printSchema: boolean;
}

export function parseArguments(argv: readonly string[]): Arguments {
  const result: Arguments = { configPath: undefined, checkOnly: false, printSchema: false };
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at];
    if (word === "--config") result.configPath = valueOf(argv, ++at);
    else if (word === "--check-config") result.checkOnly = true;
    else if (word === "--print-schema") result.printSchema = true;
    else {
      throw new CodedError("invalid_argument", `read arguments: unknown argument ${word}`, {
        field: "arguments",
        remedy: "Known: --config <file>, --check-config, --print-schema.",
      });
    }
  }
  return result;
}

function valueOf(argv: readonly string[], at: number): string {
  const value = argv[at];
  if (value !== undefined && !value.startsWith("--")) return value;
  throw new CodedError("invalid_argument", "read arguments: --config without a file", {
    field: "--config",
    remedy: "Name a JSON file: --config <file>.",
  });
}

export function readConfigFile(path: string | undefined): unknown {
  if (path === undefined) return {};
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new CodedError("not_found", `read config ${path}: cannot be read`, {
      field: "--config",
      remedy: "Name a JSON file that this user may read.",
      cause,
    });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CodedError("invalid_argument", `read config ${path}: not JSON: ${(cause as Error).message}`, {
      field: "--config",
      cause,
    });
  }
}
