import { consumerPlans, streamBounds } from "@millrace/messaging";
import type { StageInput } from "@millrace/testkit";
import type { FaultSystem } from "../system/fault-system.js";

/** Every stream of these tests has storage and results, so each of their sinks is handed every batch. */
const stages = ["privacy", "inference", "store", "results"];

/**
 * What each stage was handed so far, by the broker's own count. A stage's consumers, such as one a lane,
 * share the batches of their stream, so their deliveries add up.
 */
export async function stageInputs(system: FaultSystem): Promise<StageInput[]> {
  const admin = system.admin();
  const inputs = stages.map(async (stage) => {
    const plans = consumerPlans.filter(({ name }) => name === stage || name.startsWith(`${stage}-`));
    const [first] = plans;
    if (first === undefined) throw new Error(`no consumer of ${stage}`);
    const infos = await Promise.all(
      plans.map(({ stream, name }) => admin.manager.consumers.info(stream, name)),
    );
    const delivered = infos.reduce((sum, info) => sum + info.delivered.consumer_seq, 0);
    return { stage, stored: (await streamBounds(admin, first.stream)).last, delivered };
  });
  return Promise.all(inputs);
}

/** What they were handed since an earlier look. */
export function inputsSince(now: readonly StageInput[], before: readonly StageInput[]): StageInput[] {
  return now.map((input) => {
    const earlier = before.find(({ stage }) => stage === input.stage);
    return {
      stage: input.stage,
      stored: input.stored - (earlier?.stored ?? 0),
      delivered: input.delivered - (earlier?.delivered ?? 0),
    };
  });
}
