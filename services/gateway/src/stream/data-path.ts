import type { Stream } from "@millrace/proto/stream";
import type { ReadingResponse } from "@millrace/proto/work";

/** What a stage says of its reading; `undefined`: it does not answer. */
export interface StageReading {
  stage: string;
  reading: ReadingResponse | undefined;
}

/** `mapped`, `read` or `unknown`: how bodies in segments are read; then why, and what was read so far. */
export function describeDataPath(stream: Stream, readings: readonly StageReading[]): string {
  const counts = readings.map(({ stage, reading }) => `; ${stage} so far: ${soFar(reading)}`).join("");
  if (stream.memoryMapping === false) return `read: memory_mapping is off for this stream${counts}`;
  const mapping = readings.filter(({ reading }) => reading?.unmappedReason === "");
  const others = readings.flatMap(({ stage, reading }) => {
    const reason = reading?.unmappedReason ?? "";
    return reason === "" ? [] : [`${stage} reads plainly, ${reason}`];
  });
  if (mapping.length === 0) {
    return others.length === 0 ? `unknown${counts}` : `read: ${others.join("; ")}${counts}`;
  }
  const how =
    stream.zeroCopy === false ? "copies out of the map, since zero_copy is off," : "works in place on";
  const most = stream.mmapBytes === 0 ? "1 GB" : `${stream.mmapBytes} bytes`;
  const who = mapping.map(({ stage }) => `${stage} ${how} bodies above 64 KiB, ${most} at once at most`);
  return `mapped: ${[...who, ...others].join("; ")}${counts}`;
}

function soFar(reading: ReadingResponse | undefined): string {
  if (reading === undefined) return "no answer";
  const { mappedBytes, readBytes, inlineBytes } = reading;
  return `${mappedBytes} bytes mapped, ${readBytes} read, ${inlineBytes} within their batches`;
}
