import { type Source, SourceReport, SourceState } from "@millrace/proto/source";
import { type Stream, StreamState } from "@millrace/proto/stream";

/** What is known of a source: what ingestion reported last, except where a user has paused it. */
export function reportOf(source: Source, stream: Stream, reports: readonly SourceReport[]): SourceReport {
  const { id } = source;
  const said = reports.find((report) => report.id === id);
  const report = said ?? SourceReport.fromPartial({ id, stream: stream.name });
  if (!source.paused && stream.state !== StreamState.STREAM_STATE_PAUSED) return report;
  return { ...report, state: SourceState.SOURCE_STATE_PAUSED, holder: "" };
}
