import { limits } from "@millrace/envelope";
import { assert } from "@millrace/errors";
import type { KafkaDriver } from "@millrace/kafka";
import { defaultConsumerDriver, type DriverName, driverNames } from "@millrace/kafka/connection";
import { readConnection } from "@millrace/kafka/settings";
import { KafkaCommit, KafkaStart } from "@millrace/proto/source";
import type { Runtime, Secrets } from "@millrace/runtime";
import type { IngestionConfig } from "../config.js";
import type { OutPositions } from "../source/out-positions.js";
import type { SourceContext, SourceKind } from "../source/source-reader.js";
import { createKafkaSource, type OutPrefix } from "./kafka-source.js";

export interface KafkaKindParts {
  config: IngestionConfig;
  runtime: Pick<Runtime, "clock" | "random" | "instance">;
  secrets: Secrets;
  outPositions: Pick<OutPositions, "follow" | "to">;
}

const fields = { at: "source.kafka", suffix: "" } as const;

/** Topics, read by every replica as a member of one consumer group. */
export function kafkaKind({ config, runtime, secrets, outPositions }: KafkaKindParts): SourceKind {
  const { clock, random } = runtime;
  const isWritten = config.segments.rawDir !== undefined && config.segments.cleanDir !== undefined;
  return {
    leased: false,
    open: (context) => {
      const { source, stream } = context;
      assert(source.kind?.$case === "kafka", "a Kafka source is opened as one");
      const settings = source.kind.value;
      const driver = driverNames.find((name) => name === settings.driver) ?? defaultConsumerDriver;
      const clientId = `millrace-${runtime.instance}`;
      const isOut = settings.commit === KafkaCommit.KAFKA_COMMIT_OUT;
      return createKafkaSource({
        context,
        loadDriver: () => loadDriver(driver),
        connect: () => readConnection(settings, { secrets, clientId, fields }),
        topic: settings.topic,
        group: settings.consumerGroup,
        start: settings.start === KafkaStart.KAFKA_START_LATEST ? "latest" : "earliest",
        sourceId: settings.sourceId,
        out: isOut ? prefixOf(context, outPositions) : undefined,
        cut: {
          rowsMax: Math.min(stream.batchSize, limits.batchMessagesMax),
          // A body that travels to buffer over gRPC is one request.
          bodyBytesMax: isWritten ? config.kafka.frameBytesMax : limits.batchBytesMax,
        },
        // Several on their way could overtake each other.
        appendsInFlightMax: stream.ordered ? 1 : config.kafka.appendsInFlightMax,
        bytesInFlightMax: config.kafka.bytesInFlightMax,
        sessionTimeoutMs: config.kafka.sessionTimeoutMs,
        commitIntervalMs: config.kafka.commitIntervalMs,
        timers: { now: clock.monotonic, sleep: clock.sleep, random },
      });
    },
  };
}

/** The clients are large, and most processes never need one. */
async function loadDriver(name: DriverName): Promise<KafkaDriver> {
  const { kafkaDrivers } = await import("@millrace/kafka");
  return kafkaDrivers[name];
}

function prefixOf({ tenant, stream }: SourceContext, out: KafkaKindParts["outPositions"]): OutPrefix {
  const of = (source: string) => ({ tenant, stream: stream.name, source });
  return {
    follow: (key, signal) => out.follow(of(key), signal),
    to: (key, run) => out.to({ ...of(key), outputs: stream.outputs }, run),
  };
}
