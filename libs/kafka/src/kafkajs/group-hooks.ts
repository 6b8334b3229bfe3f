import { createRequire } from "node:module";
import type { PartitionAssigner } from "kafkajs";

/**
 * kafkajs tells of a rebalance and joins again in the same turn, so that nothing can be committed in between;
 * and once it is closed it goes on with a join that is under way, and is a member for good then. It has one
 * method through which every join goes, the first or again; that method is ours to go through. kafkajs stands
 * still at 2.2.4, which the workspace pins: the method can't move.
 */
export type GoThrough = (join: GroupJoin) => Promise<void>;

export interface GroupJoin {
  /** Resolves to the partitions that are ours from now on, none of which is fetched yet. */
  join(): Promise<readonly number[]>;
  /** Whether or not there is something to leave. */
  leave(): Promise<void>;
}

interface ConsumerGroup {
  /** Made by our factory, so they carry ours. */
  assigners: { goThrough?: GoThrough }[];
  assigned(): { topic: string; partitions: number[] }[];
  pause(of: { topic: string; partitions: number[] }[]): void;
  leave(): Promise<void>;
}

type JoinAndSync = (this: ConsumerGroup) => Promise<void>;

let isHooked = false;

/** An assigner like `assigner`, for whose consumer group each join goes through ours. */
export function withJoins(assigner: PartitionAssigner, goThrough: GoThrough): PartitionAssigner {
  hookOnce();
  return (config) => Object.assign(assigner(config), { goThrough });
}

function hookOnce(): void {
  if (isHooked) return;
  isHooked = true;
  const require = createRequire(import.meta.url);
  const { prototype } = require("kafkajs/src/consumer/consumerGroup") as {
    prototype: { joinAndSync: JoinAndSync };
  };
  const joinAndSync = prototype.joinAndSync;
  prototype.joinAndSync = function (this: ConsumerGroup): Promise<void> {
    const join = async (): Promise<readonly number[]> => {
      await joinAndSync.call(this);
      const assigned = this.assigned();
      // Until somebody says from where.
      this.pause(assigned);
      return assigned.flatMap(({ partitions }) => partitions);
    };
    const goThrough = this.assigners.find((assigner) => assigner.goThrough !== undefined)?.goThrough;
    if (goThrough === undefined) return joinAndSync.call(this);
    return goThrough({ join, leave: () => this.leave() });
  };
}
