import { Client, credentials } from "@grpc/grpc-js";
import { SubscribeRequest, type SubscribeResponse, SubscribeServiceService } from "@millrace/proto/message";
import { summarise } from "../percentiles.js";
import type { AudienceAsked, AudienceReport, AudienceToOpen } from "./audience.js";
import { connectLight, subscribeLight } from "./light-call.js";

// Subscribers in a process of their own, told by its parent what to do.

/** The gateway takes 100 calls of a connection. */
const callsPerConnection = 50;

interface Heard {
  /** Next sequence number expected, by subscriber; −1 before the first one. */
  next: Int32Array;
  missed: number;
  repeated: number;
  gaps: number;
  /** Of all subscribers together. */
  sequences: number[];
  latencies: number[];
}

let heard: Heard | undefined;

process.on("message", (asked: AudienceAsked) => {
  if (asked.kind === "open") void open(asked);
  else if (asked.kind === "stall") stall(asked.of);
  else if (asked.kind === "report") send({ kind: "report", report: reportOf(asked.from, asked.to) });
});
process.on("disconnect", () => process.exit(0));

function send(answer: { kind: "opened" } | { kind: "report"; report: AudienceReport }): void {
  process.send?.(answer);
}

async function open({ of, subscribers }: { of: AudienceToOpen; subscribers: number }): Promise<void> {
  const next = new Int32Array(subscribers).fill(-1);
  const state: Heard = { next, missed: 0, repeated: 0, gaps: 0, sequences: [], latencies: [] };
  heard = state;
  let session = connectLight(of.address);
  const opened = Array.from({ length: subscribers }, (_, subscriber) => {
    if (subscriber > 0 && subscriber % callsPerConnection === 0) session = connectLight(of.address);
    return new Promise<void>((resolve) => {
      subscribeLight(session, of.stream, (response) => {
        resolve();
        hear(state, subscriber, response);
      });
    });
  });
  await Promise.all(opened);
  send({ kind: "opened" });
}

/** Texts begin with their number and the moment at which they should have been sent, ms since the epoch. */
function hear(state: Heard, subscriber: number, { messages, gap }: SubscribeResponse): void {
  const now = performance.timeOrigin + performance.now();
  if (gap !== undefined) state.gaps += 1;
  for (const { content } of messages) {
    if (content?.$case !== "text") continue;
    const [sequence = 0, intended = 0] = content.value.split(" ", 2).map(Number);
    const expected = state.next[subscriber] as number;
    if (expected >= 0 && sequence > expected) state.missed += sequence - expected;
    if (expected >= 0 && sequence < expected) state.repeated += 1;
    state.next[subscriber] = Math.max(expected, sequence + 1);
    state.sequences.push(sequence);
    state.latencies.push(now - intended);
  }
}

/** One more that reads nothing; with a small window, so that its call really waits. */
function stall({ address, stream }: AudienceToOpen): void {
  const client = new Client(address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc-node.flow_control_window": 65_535,
  });
  const { path, requestSerialize, responseDeserialize } = SubscribeServiceService.subscribe;
  const request = SubscribeRequest.fromPartial({ stream });
  client
    .makeServerStreamRequest(path, requestSerialize, responseDeserialize, request)
    .on("error", (error) => {
      throw error;
    });
}

function reportOf(from: number, to: number): AudienceReport {
  if (heard === undefined) throw new Error("nobody has subscribed");
  const { sequences, latencies, missed, repeated, gaps, next } = heard;
  const within = latencies.filter((_, at) => {
    const sequence = sequences[at] as number;
    return sequence >= from && sequence < to;
  });
  return {
    latencies: summarise(within),
    missed,
    repeated,
    gaps,
    behind: next.filter((at) => at < to).length,
    cpuSeconds: (process.cpuUsage().user + process.cpuUsage().system) / 1e6,
  };
}
