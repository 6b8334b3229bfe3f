import { CodedError } from "@millrace/errors";
import { JetStreamApiError } from "@nats-io/jetstream";
import type { Broker } from "./broker.js";
import {
  attemptsAgeMs,
  bucketShares,
  buckets,
  type ConsumerPlan,
  consumerConfig,
  consumerPlans,
  streamConfig,
  streamPlans,
} from "./streams.js";

export interface ProvisionOptions {
  /** Bytes of the broker's store that Millrace may fill. */
  storeBytes: number;
  replicas?: number;
}

const streamNotFound = 10059;
const consumerExists = 10148;

/**
 * Creates or updates every stream, consumer and bucket. Run before anything publishes: an interest stream
 * without a consumer acknowledges and drops.
 */
export async function provision(broker: Broker, options: ProvisionOptions): Promise<void> {
  const replicas = options.replicas ?? 1;
  for (const plan of streamPlans) {
    const config = { ...streamConfig(plan, options.storeBytes), num_replicas: replicas };
    if (await exists(broker, plan.name)) await broker.manager.streams.update(plan.name, config);
    else await broker.manager.streams.add(config);
  }
  for (const plan of consumerPlans) await provisionConsumer(broker, plan);
  await removeUnplanned(broker);
  for (const bucket of Object.values(buckets)) {
    const share = Math.floor(options.storeBytes * bucketShares[bucket]);
    const ttl = bucket === buckets.attempts ? { ttl: attemptsAgeMs } : {};
    await broker.kv.create(bucket, { history: 1, replicas, max_bytes: share, allow_direct: true, ...ttl });
    // One that is there already is opened as it is.
    await broker.manager.streams.update(`KV_${bucket}`, { num_replicas: replicas, max_bytes: share });
  }
}

/** One that an earlier version made otherwise keeps its state and gets the plan's settings. */
async function provisionConsumer(broker: Broker, plan: ConsumerPlan): Promise<void> {
  const config = consumerConfig(plan);
  try {
    await broker.manager.consumers.add(plan.stream, config);
  } catch (caught) {
    if (!(caught instanceof JetStreamApiError) || caught.code !== consumerExists) {
      throw CodedError.from(caught, `make consumer ${plan.name}`);
    }
    await broker.manager.consumers.update(plan.stream, plan.name, config);
  }
}

/**
 * Durables of an earlier version would hold every message for ever. Those that took their place are there
 * already, and have what was not settled.
 */
async function removeUnplanned(broker: Broker): Promise<void> {
  for (const stream of new Set(consumerPlans.map((plan) => plan.stream))) {
    const planned = new Set(consumerPlans.filter((plan) => plan.stream === stream).map(({ name }) => name));
    for await (const { name, config } of broker.manager.consumers.list(stream)) {
      if (config.durable_name === undefined || planned.has(name)) continue;
      await broker.manager.consumers.delete(stream, name);
    }
  }
}

async function exists(broker: Broker, stream: string): Promise<boolean> {
  try {
    await broker.manager.streams.info(stream);
    return true;
  } catch (caught) {
    if (caught instanceof JetStreamApiError && caught.code === streamNotFound) return false;
    throw CodedError.from(caught, `inspect stream ${stream}`);
  }
}
