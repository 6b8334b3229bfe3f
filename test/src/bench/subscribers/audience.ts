import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { CodedError } from "@millrace/errors";
import type { Latencies } from "../percentiles.js";

export interface AudienceToOpen {
  address: string;
  stream: string;
}

/** What its parent asks of the process that subscribes. */
export type AudienceAsked =
  | { kind: "open"; of: AudienceToOpen; subscribers: number }
  | { kind: "stall"; of: AudienceToOpen }
  | { kind: "report"; from: number; to: number };

export interface AudienceReport {
  /** Of the messages of a range, to all subscribers, in ms from the intended moment of sending. */
  latencies: Latencies;
  /** Since it was opened: messages that a subscriber did not get, or got twice, and gaps told. */
  missed: number;
  repeated: number;
  gaps: number;
  /** Subscribers that have not heard the last message of the range. */
  behind: number;
  /** Of its process, since it began. */
  cpuSeconds: number;
}

/** Subscribers of one stream, in a process of their own. */
export interface Audience {
  /** One more that never reads. */
  stall(): void;
  /** Of the messages with these numbers, `to` excluded. */
  report(from: number, to: number): Promise<AudienceReport>;
  close(): void;
}

type Answer = { kind: "opened" } | { kind: "report"; report: AudienceReport };

export async function openAudience(of: AudienceToOpen, subscribers: number): Promise<Audience> {
  const child = fork(new URL("./audience-main.js", import.meta.url));
  const ask = (asked: AudienceAsked): boolean => child.send(asked);
  ask({ kind: "open", of, subscribers });
  await answer(child);
  return {
    stall: () => void ask({ kind: "stall", of }),
    report: async (from, to) => {
      ask({ kind: "report", from, to });
      const answered = await answer(child);
      if (answered.kind !== "report") throw new CodedError("internal", `audience: answered ${answered.kind}`);
      return answered.report;
    },
    close: () => {
      child.disconnect();
      child.kill();
    },
  };
}

async function answer(child: ChildProcess): Promise<Answer> {
  const gone = once(child, "exit").then(([code]) => {
    throw new CodedError("unavailable", `audience: its process ended (exit code ${code})`);
  });
  gone.catch(() => undefined);
  const [answered] = (await Promise.race([once(child, "message"), gone])) as [Answer];
  return answered;
}
