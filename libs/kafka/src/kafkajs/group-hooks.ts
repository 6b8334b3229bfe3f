import { createRequire } from "node:module";
import type { PartitionAssigner } from "kafkajs";

/**
 * kafkajs tells of a rebalance and joins again in the same turn, so that nothing can be committed in between.
 * It has one method through which every join goes, and that method asks us first and tells us after. kafkajs
 * stands still at 2.2.4, which the workspace pins: the method can't move.
 */
export interface JoinHooks {
  /** Awaited before the group is joined, the first time or again. */
  beforeJoin(): Promise<void>;
  /** The partitions that are ours from now on, none of them fetched yet. */
  afterJoin(partitions: readonly number[]): void;
}

interface ConsumerGroup {
  /** Made by our factory, so they carry our hooks. */
  assigners: { hooks?: JoinHooks }[];
  assigned(): { topic: string; partitions: number[] }[];
  pause(of: { topic: string; partitions: number[] }[]): void;
}

type Join = (this: ConsumerGroup) => Promise<void>;

let isHooked = false;

/** An assigner like `assigner` that carries the hooks to the consumer group it is made for. */
export function withJoinHooks(assigner: PartitionAssigner, hooks: JoinHooks): PartitionAssigner {
  hookOnce();
  return (config) => Object.assign(assigner(config), { hooks });
}

function hookOnce(): void {
  if (isHooked) return;
  isHooked = true;
  const require = createRequire(import.meta.url);
  const { prototype } = require("kafkajs/src/consumer/consumerGroup") as {
    prototype: { joinAndSync: Join };
  };
  const joinAndSync = prototype.joinAndSync;
  prototype.joinAndSync = async function (this: ConsumerGroup): Promise<void> {
    const hooks = this.assigners.find((assigner) => assigner.hooks !== undefined)?.hooks;
    await hooks?.beforeJoin();
    await joinAndSync.call(this);
    if (hooks === undefined) return;
    const assigned = this.assigned();
    // Until somebody says from where.
    this.pause(assigned);
    hooks.afterJoin(assigned.flatMap(({ partitions }) => partitions));
  };
}
