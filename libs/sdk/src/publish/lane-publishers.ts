import { Priority } from "@millrace/proto/message";
import type { Channel } from "../rpc/channel.js";
import type { Outgoing } from "./outgoing.js";
import { createPublisher, type Publisher } from "./publisher.js";

export type LaneName = "high" | "batch";

/** A publish stream a lane, each with an epoch and credits of its own: what is urgent waits for nobody. */
export interface LanePublishers {
  of(outgoing: Outgoing): Publisher;
  /** Sends what is pending in each. */
  close(): Promise<void>;
}

/** `usual`: the lane of messages that name no priority. */
export function createLanePublishers(channel: Channel, stream: string, usual: LaneName): LanePublishers {
  const publishers: Record<LaneName, Publisher> = {
    high: createPublisher(channel, stream),
    batch: createPublisher(channel, stream),
  };
  return {
    of: ({ message: { priority } }) => {
      if (priority === Priority.PRIORITY_HIGH) return publishers.high;
      if (priority === Priority.PRIORITY_BATCH) return publishers.batch;
      return publishers[usual];
    },
    close: async () => {
      await Promise.all([publishers.high.close(), publishers.batch.close()]);
    },
  };
}
