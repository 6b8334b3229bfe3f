import type { StreamInfo, StreamStatus } from "@millrace/sdk";
import { Command } from "commander";
import { oneLine, renderTable } from "../output.js";
import { heldBack, renderGroups } from "./groups.js";
import { type ClientOptions, withClient, withClientOptions, type World } from "./client.js";

/** `millrace status [stream]` */
export function statusCommand(world: World): Command {
  const command = new Command("status")
    .description("show all streams, or how one is doing")
    .argument("[stream]", "a stream's name");
  return withClientOptions(command).action(async (stream: string | undefined, options: ClientOptions) => {
    await withClient(options, world, async (client) => {
      const { output } = world;
      if (stream !== undefined) {
        const status = await client.streams.status(stream);
        if (options.json === true) await output.json(status);
        else for (const line of renderStatus(status)) await output.line(line);
        return;
      }
      const streams: StreamInfo[] = [];
      for await (const each of client.streams.list()) streams.push(each);
      if (options.json === true) for (const each of streams) await output.json(each);
      else if (streams.length === 0) output.notice("There are no streams yet.");
      else {
        for (const line of renderStreams(streams)) await output.line(line);
        // Only what keeps results has groups.
        for (const { name } of streams.filter(({ outputs }) => outputs.results !== undefined)) {
          for (const line of heldBack(name, await client.streams.groups(name))) output.notice(line);
        }
      }
    });
  });
}

export function renderStreams(streams: readonly StreamInfo[]): string[] {
  const rows = streams.map((stream) => [
    stream.name,
    stream.state,
    stream.processingMode,
    String(stream.batchSize),
    outputsOf(stream).join(","),
  ]);
  return renderTable(["STREAM", "STATE", "MODE", "BATCH", "OUTPUTS"], rows);
}

export function renderStatus(status: StreamStatus): string[] {
  const { stream, conservation } = status;
  const { in: taken, out, dead, dropped, inFlight, balanced } = conservation;
  const sum = `in ${taken} = out ${out} + dead ${dead} + dropped ${dropped} + in flight ${inFlight}`;
  const reasons = Object.entries(conservation.droppedByReason).map(([reason, count]) => `${reason} ${count}`);
  return [
    `${stream.name}: ${stream.state}, ${stream.processingMode}, outputs ${outputsOf(stream).join(", ")}`,
    ...(stream.privacy.exempt ? ["privacy: EXEMPT from the filter, nothing is redacted"] : []),
    `messages: ${sum}: ${balanced ? "balanced" : "NOT BALANCED"}`,
    ...(reasons.length === 0 ? [] : [`dropped: ${reasons.join(", ")}`]),
    ...renderBuffer(status.buffer),
    ...heldBack(stream.name, status.groups),
    `durability: ${status.durability}, data path: ${status.dataPath}`,
    `worker threads: ${stream.workerThreads || "as each service is set"}`,
    ...section(
      ["STAGE", "BATCHES WAITING"],
      status.stages.map(({ stage, batches }) => [stage, String(batches)]),
    ),
    ...section(
      ["SOURCE", "POSITION", "MESSAGES", "LAST ERROR"],
      status.sources.map((each) => [
        each.source,
        String(each.position),
        String(each.messages),
        oneLine(each.lastError),
      ]),
    ),
    ...section(
      ["SINK", "MESSAGES"],
      status.sinks.map(({ sink, messages }) => [sink, String(messages)]),
    ),
    ...(status.groups.length === 0
      ? []
      : ["", ...renderGroups(status.groups.map((group) => [stream.name, group] as const))]),
  ];
}

/** How full the stream is and, where it is full, who waits for whom. */
function renderBuffer(buffer: StreamStatus["buffer"]): string[] {
  if (buffer === undefined) return ["buffer: does not answer"];
  const { liveBytes, quotaBytes, waiting, lags } = buffer;
  const held = `buffer: ${liveBytes} of ${quotaBytes} bytes`;
  const behind = lags.map(({ sink, bytes }) => `${sink} lags by ${bytes} bytes`).join(", ");
  if (waiting.length === 0) return [held];
  return [`${held}, FULL: ${waiting.join(" and ")} wait${waiting.length === 1 ? "s" : ""}, since ${behind}`];
}

function section(heads: readonly string[], rows: readonly string[][]): string[] {
  return rows.length === 0 ? [] : ["", ...renderTable(heads, rows)];
}

function outputsOf({ outputs }: StreamInfo): string[] {
  return Object.entries(outputs).flatMap(([name, value]) => (value ? [name] : []));
}
