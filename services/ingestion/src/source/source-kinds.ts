import type { Runtime } from "@millrace/runtime";
import type { IngestionConfig } from "../config.js";
import { fileKind } from "../file/file-kind.js";
import { kafkaKind, type KafkaKindParts } from "../kafka/kafka-kind.js";
import { websocketKind, type WebsocketKindParts } from "../websocket/websocket-kind.js";
import type { SourceKinds } from "./source-reader.js";

export interface KindParts extends KafkaKindParts, WebsocketKindParts {
  config: IngestionConfig;
  runtime: Runtime;
}

/** The table of kinds: whatever else ingestion does with a source is the same for all of them. */
export function sourceKinds(parts: KindParts): SourceKinds {
  return { file: fileKind(parts), kafka: kafkaKind(parts), websocket: websocketKind(parts) };
}
