import { CodedError } from "@millrace/errors";
import type { SegmentRange } from "@millrace/proto/batch";
import { RangeServiceClient } from "@millrace/proto/buffer";
import type { Clock } from "../clock.js";
import type { Component } from "../lifecycle.js";
import { insecure, internalChannel } from "./client.js";
import { collect } from "./collect.js";
import { tracedMetadata } from "./unary.js";

/** Bodies of 12 MiB over a slow line; the delivery is kept alive meanwhile. */
const deadlineMs = 20_000;

/** Fetches bodies from buffers of other nodes, by the name of the node. */
export interface RangeClient extends Component {
  fetch(range: SegmentRange): Promise<Uint8Array>;
}

/** `peers`: the address where the buffer of each other node serves the side that is read here. */
export function createRangeClient(
  peers: Readonly<Record<string, string>>,
  clock: Pick<Clock, "now">,
): RangeClient {
  const clients = new Map<string, RangeServiceClient>();
  const clientOf = ({ node, log }: SegmentRange): RangeServiceClient => {
    const known = clients.get(node);
    if (known !== undefined) return known;
    const address = peers[node];
    if (address === undefined) {
      throw new CodedError("unavailable", `read range: node ${node} is not known`, {
        field: "peers",
        remedy: `Add "${node}": the host:port of ${listenerOf(log)} of the buffer there.`,
      });
    }
    const client = new RangeServiceClient(address, insecure, internalChannel);
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

/** Each side has a listener of its own, so that a stage reaches no other side than the one it reads. */
function listenerOf(log: string): "rawRead" | "cleanRead" {
  return log.startsWith("raw/") ? "rawRead" : "cleanRead";
}
