import type { Stream } from "@millrace/proto/stream";
import type { ReadingResponse } from "@millrace/proto/work";

/** One word for how privacy reads bodies in segments, then why; `undefined`: privacy does not answer. */
export function describeDataPath(stream: Stream, reading: ReadingResponse | undefined): string {
  if (stream.privacy?.exempt === true) {
    return "read: the stream is exempt, so only stages that copy each body read it";
  }
  if (stream.memoryMapping === false) return `read: memory_mapping is off for this stream${soFar(reading)}`;
  if (reading === undefined) return "unknown: privacy does not answer";
  const { unmappedReason } = reading;
  if (unmappedReason !== "") return `read: privacy maps no segments, ${unmappedReason}${soFar(reading)}`;
  const how =
    stream.zeroCopy === false ? "copied out of the map, since zero_copy is off" : "worked on in place";
  const most = stream.mmapBytes === 0 ? "1 GB" : `${stream.mmapBytes} bytes`;
  return `mapped: bodies above 64 KiB are ${how}, ${most} of them at once at most${soFar(reading)}`;
}

function soFar(reading: ReadingResponse | undefined): string {
  if (reading === undefined) return "";
  const { mappedBytes, readBytes, inlineBytes } = reading;
  return `; so far ${mappedBytes} bytes mapped, ${readBytes} read, ${inlineBytes} within their batches`;
}
