import { CodedError } from "@millrace/errors";
import type { ConsumerState, QueueState } from "@millrace/messaging";
import { type ConsumerTrack, createConsumerTrack, type Reading } from "../lag/consumer-track.js";
import { createSequenceTimes, type SequenceTimes } from "../lag/sequence-times.js";
import { type StageLag, stageLag } from "../lag/stage-lag.js";
import { staleMs } from "./sampler.js";

export interface StageConsumer {
  stream: string;
  name: string;
  stage: string;
}

export interface StageSamples {
  /** Asks every stream and consumer once; what fails is unknown, each for itself. */
  take(): Promise<void>;
  /** Errors: `unavailable`. */
  read(stage: string, lane: string | undefined): StageLag;
}

export interface StageSamplesOptions {
  consumers: readonly StageConsumer[];
  inspectQueue(jetStream: string): Promise<QueueState>;
  inspectConsumer(of: { jetStream: string; name: string }): Promise<ConsumerState>;
  isConnected(): boolean;
  monotonic(): number;
}

/** Long enough for two syncs of an autoscaler, short enough to follow a stage that speeds up. */
const windowMs = 30_000;

export function createStageSamples(options: StageSamplesOptions): StageSamples {
  const { consumers, monotonic } = options;
  const streams = [...new Set(consumers.map(({ stream }) => stream))];
  const times = new Map(streams.map((name): [string, SequenceTimes] => [name, createSequenceTimes()]));
  const tracks = consumers.map(({ stream, name, stage }) => {
    const timesOf = times.get(stream) ?? createSequenceTimes();
    const track = createConsumerTrack({ name, times: timesOf, windowMs, staleMs });
    return { stream, name, stage, track };
  });

  const failed = (track: ConsumerTrack, caught: unknown): void => {
    const error = CodedError.from(caught, "sample");
    track.fail(error.message, error.code === "not_found");
  };
  const takeStream = async (jetStream: string): Promise<void> => {
    const own = tracks.filter(({ stream }) => stream === jetStream);
    const atMs = monotonic();
    const queue = await options.inspectQueue(jetStream).catch((caught: unknown) => {
      for (const { track } of own) failed(track, caught);
    });
    if (queue === undefined) return;
    times.get(jetStream)?.record(atMs, queue.lastSeq);
    const each = own.map(async ({ name, track }) => {
      await options.inspectConsumer({ jetStream, name }).then(
        (state) => track.add(atMs, state, queue),
        (caught: unknown) => failed(track, caught),
      );
    });
    await Promise.all(each);
  };
  return {
    take: async () => {
      if (!options.isConnected()) throw brokerAway();
      await Promise.all(streams.map(takeStream));
    },
    read: (stage, lane) => {
      if (!options.isConnected()) throw brokerAway();
      const own = tracks.filter((of) => of.stage === stage);
      const asked = own.filter(({ name }) => lane === undefined || name === `${stage}-${lane}`);
      const now = monotonic();
      const readings = asked.map(({ track }): Reading => {
        const reading = track.read(now);
        if (reading === undefined) throw new CodedError("unavailable", `lag is unknown: ${track.problem()}`);
        return reading;
      });
      return stageLag(readings);
    },
  };
}

function brokerAway(): CodedError {
  return new CodedError("unavailable", "lag is unknown: the broker is away");
}
