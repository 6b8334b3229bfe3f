import { CodedError } from "@millrace/errors";
import type { SegmentRange } from "@millrace/proto/batch";
import { RangeServiceClient } from "@millrace/proto/buffer";
import { type Clock, collect, insecure, internalChannel, tracedMetadata } from "@millrace/runtime";

/** Bodies of 12 MiB over a slow line; the delivery is kept alive meanwhile. */
const deadlineMs = 20_000;

/** Fetches bodies from buffers of other nodes, by the name of the node. */
export function createRangeClient(peers: Readonly<Record<string, string>>, clock: Clock) {
  const clients = new Map<string, RangeServiceClient>();
  const clientOf = (node: string): RangeServiceClient => {
    const known = clients.get(node);
    if (known !== undefined) return known;
    const address = peers[node];
    if (address === undefined) {
      throw new CodedError("unavailable", `read range: node ${node} is not known`, {
        field: "peers",
        remedy: "Name the address where its buffer serves ranges (rawRead of that buffer).",
      });
    }
    const client = new RangeServiceClient(address, insecure, internalChannel);
    clients.set(node, client);
    return client;
  };
  return {
    name: "range-client",
    fetch: async (range: SegmentRange): Promise<Uint8Array> => {
      const deadline = clock.now() + deadlineMs;
      const stream = clientOf(range.node).readRange({ range }, tracedMetadata(), { deadline });
      const pieces = await collect(stream, `read range of node ${range.node}`);
      return Buffer.concat(pieces.map(({ data }) => data));
    },
    stop: async (): Promise<void> => {
      for (const client of clients.values()) client.close();
    },
  };
}
