import { deriveId } from "@millrace/envelope";
import type { Source } from "@millrace/proto/source";
import { type CompletedKind, invalid } from "./completed-kind.js";
import { completeFileSource } from "./file-settings.js";
import { completeKafkaSource, shownKafkaSource } from "./kafka-settings.js";
import { completeWebsocketSource, shownWebsocketSource } from "./websocket-settings.js";

/**
 * The source with its defaults and its id, which follows from the stream and the settings. Whether what it
 * names is there and may be read is ingestion's to say: its answer is in the source's report.
 */
export function completeSource(tenant: string, given: Source): Source {
  if (given.kind === undefined) {
    throw invalid("source.kind", "is missing", "Give the settings of a source, as in source.file.");
  }
  const { kind, identity } = completeKind(given.kind);
  const id = deriveId(`${kind.$case}-source`, tenant, given.stream, ...identity);
  return { id, stream: given.stream, kind, paused: given.paused };
}

function completeKind(kind: NonNullable<Source["kind"]>): CompletedKind {
  switch (kind.$case) {
    case "file":
      return completeFileSource(kind.value);
    case "kafka":
      return completeKafkaSource(kind.value);
    case "websocket":
      return completeWebsocketSource(kind.value);
  }
}

/** The source as it is answered with: what may be a credential is not told. */
export function shownSource(source: Source): Source {
  switch (source.kind?.$case) {
    case "kafka":
      return { ...source, kind: { $case: "kafka", value: shownKafkaSource(source.kind.value) } };
    case "websocket":
      return { ...source, kind: { $case: "websocket", value: shownWebsocketSource(source.kind.value) } };
    case "file":
    case undefined:
      return source;
  }
}
