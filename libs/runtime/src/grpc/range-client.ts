import { CodedError } from "@millrace/errors";
import type { SegmentRange } from "@millrace/proto/batch";
import { RangeServiceClient } from "@millrace/proto/buffer";
import type { Clock } from "../clock.js";
import type { Component } from "../lifecycle.js";
import { nodeName } from "../config.js";
import type { Logger } from "../logger.js";
import type { TlsFiles } from "../tls/tls-files.js";
import { internalChannel } from "./client.js";
import { collect } from "./collect.js";
import { channelCredentials } from "./security.js";
import { tracedMetadata } from "./unary.js";

/** Bodies of 12 MiB over a slow line; the delivery is kept alive meanwhile. */
const deadlineMs = 20_000;

/** Fetches bodies from those who wrote them on other nodes, by the name of the node. */
export interface RangeClient extends Component {
  fetch(range: SegmentRange): Promise<Uint8Array>;
}

export interface RangeClientOptions {
  /** The address where each other node serves the side that is read here. */
  peers: Readonly<Record<string, string>>;
  /** That of nodes which `peers` does not name, with their names in place of `{node}`. */
  peerAddress?: string | undefined;
  /** Where present, every channel is mutual TLS. */
  tls?: TlsFiles | undefined;
  runtime: { clock: Pick<Clock, "now">; log: Logger };
}

export function createRangeClient(options: RangeClientOptions): RangeClient {
  const { peers, peerAddress, tls, runtime } = options;
  const { clock, log } = runtime;
  const clients = new Map<string, RangeServiceClient>();
  const clientOf = ({ node, log: of }: SegmentRange): RangeServiceClient => {
    const known = clients.get(node);
    if (known !== undefined) return known;
    const address = peers[node] ?? addressOf(node, peerAddress);
    if (address === undefined) {
      throw new CodedError("unavailable", `read range: node ${node} is not known`, {
        field: "peers",
        remedy: `Add "${node}": the host:port of ${listenerOf(of)} there; or set peerAddress.`,
      });
    }
    const client = new RangeServiceClient(address, channelCredentials(tls, { log }), internalChannel);
    clients.set(node, client);
    return client;
  };
  return {
    name: "range-client",
    fetch: async (range) => {
      const deadline = clock.now() + deadlineMs;
      const stream = clientOf(range).readRange({ range }, tracedMetadata(), { deadline });
      const pieces = await collect(stream, `read range of node ${range.node}`);
      return Buffer.concat(pieces.map(({ data }) => data));
    },
    stop: async () => {
      for (const client of clients.values()) client.close();
    },
  };
}

/** A name comes from a batch: it must not become another host than the template means. */
function addressOf(node: string, peerAddress: string | undefined): string | undefined {
  return nodeName.test(node) ? peerAddress?.replaceAll("{node}", node) : undefined;
}

/** Each side has a listener of its own, so that a stage reaches no other side than the one it reads. */
function listenerOf(log: string): "rawRead" | "cleanRead" {
  return log.startsWith("raw/") ? "rawRead" : "cleanRead";
}
