import { type Channel, openChannel } from "./rpc/channel.js";
import { type Environment, type Logger, systemEnvironment, warningLogger } from "./rpc/environment.js";
import { invalidArgument } from "./rpc/millrace-error.js";
import { type TlsOptions, toSecurity } from "./rpc/tls.js";
import { createDeadLetters, type DeadLetters } from "./letters/dead-letters.js";
import { tap, type TapOptions, type Tapped } from "./tap/tap.js";
import { createPrivacy, type Privacy } from "./stream/privacy.js";
import {
  type ArtifactName,
  type ArtifactResult,
  type ArtifactsSearchOptions,
  findSimilarContent,
  searchArtifacts,
  type SimilarOptions,
  type SimilarTo,
} from "./stream/similar.js";
import { type Hit, search, type SearchOptions, type SearchResult } from "./stream/search.js";
import { createStreams, type Streams } from "./stream/streams.js";
import { createTriggers, type Triggers } from "./trigger/triggers.js";
import { checkBoolean, checkCount, checkKeys, checkText } from "./units/checks.js";

export interface ConnectOptions {
  /** `host:port` of the gateway. Default `127.0.0.1:7070`. */
  address?: string;
  /** Sent with each call, as `authorization: Bearer …`. */
  token?: string;
  /** Default false. A token goes in the clear to this machine only, unless `tls` is said to be false. */
  tls?: boolean | TlsOptions;
  /** How long a call may take, its repetitions included. In milliseconds; default 10,000. */
  deadlineMs?: number;
  /**
   * Writes of one text carry a key, so that they are repeated where their outcome is unknown. Default true.
   */
  idempotency?: boolean;
  /** pino, console, or the like. Default: warnings of the process. */
  logger?: Logger;
}

/** One connection to a gateway, made at the first call. */
export interface MillraceClient extends AsyncDisposable {
  readonly address: string;
  readonly streams: Streams;
  readonly triggers: Triggers;
  /** Searches by meaning, over all streams unless told otherwise. */
  search(query: string, options?: SearchOptions): Promise<SearchResult>;
  /**
   * Contents that are nearly the same as a text or as a stored content, over all streams unless told
   * otherwise.
   */
  findSimilarContent(content: SimilarTo, options?: SimilarOptions): Promise<Hit[]>;
  /** The best of each artifact, searched at the same time; see `mergeAndRankResults`. */
  searchArtifacts(
    query: string,
    artifacts: readonly ArtifactName[],
    options?: ArtifactsSearchOptions,
  ): Promise<ArtifactResult[]>;
  readonly privacy: Privacy;
  readonly deadLetters: DeadLetters;
  /** Messages as they pass a stage, from now on; ends with its signal. For people: see `dropped`. */
  tap(stream: string, options?: TapOptions): AsyncIterable<Tapped>;
  /** Ends all subscriptions and calls. Close processors first: what they have pending is rejected here. */
  close(): Promise<void>;
  /** What this package's functions call through; no part of the contract. */
  readonly channel: Channel;
}

const keys = ["address", "token", "tls", "deadlineMs", "idempotency", "logger"] as const;

export function connect(options: ConnectOptions = {}): MillraceClient {
  return connectIn(systemEnvironment, options);
}

/** `connect` with a clock, randomness and waiting times of one's own. */
export function connectIn(environment: Environment, options: ConnectOptions = {}): MillraceClient {
  checkKeys(options, keys, "");
  const { address = "127.0.0.1:7070", token, tls, deadlineMs = 10_000, idempotency = true, logger } = options;
  checkAddress(address);
  if (token !== undefined) checkToken(token, { address, tls });
  checkBoolean(idempotency, "idempotency");
  checkCount(deadlineMs, "deadlineMs", [1, 600_000]);
  const channel = openChannel({
    address,
    ...toSecurity(tls ?? false),
    ...(token !== undefined && { token }),
    deadlineMs,
    idempotency,
    logger: logger ?? warningLogger,
    environment,
  });
  const close = async (): Promise<void> => channel.close();
  return {
    address,
    channel,
    streams: createStreams(channel),
    findSimilarContent: (content, similar) => findSimilarContent(channel, content, similar),
    searchArtifacts: (query, artifacts, given) =>
      searchArtifacts(channel, query, { artifacts, ...(given !== undefined && { options: given }) }),
    privacy: createPrivacy(channel),
    deadLetters: createDeadLetters(channel),
    triggers: createTriggers(channel),
    tap: (stream, tapOptions) => tap(channel, stream, tapOptions),
    search: (query, searchOptions) => search(channel, query, searchOptions),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function checkAddress(address: unknown): void {
  const port = typeof address === "string" ? /^[^\s/]+:(\d{1,5})$/.exec(address)?.[1] : undefined;
  if (port !== undefined && Number(port) > 0 && Number(port) < 65_536) return;
  const remedy = 'Give host and port, such as "127.0.0.1:7070".';
  throw invalidArgument("address", `is ${JSON.stringify(address)}`, remedy);
}

interface Peer {
  address: string;
  tls: boolean | TlsOptions | undefined;
}

function checkToken(token: unknown, { address, tls }: Peer): void {
  checkText(token, "token");
  const isLocal = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\]):\d+$/.test(address);
  if (isLocal || tls !== undefined) return;
  const remedy = "Set tls to true, or to false to send it in the clear.";
  throw invalidArgument("tls", `is unset, and ${address} would get the token in the clear`, remedy);
}
