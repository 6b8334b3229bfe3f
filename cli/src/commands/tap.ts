import { Command, Option } from "commander";
import { type ClientOptions, withClient, withClientOptions, type World } from "./client.js";
import { renderMessage } from "./subscribe.js";

interface TapFlags extends ClientOptions {
  stage: "privacy" | "inference" | "results";
}

/** `millrace tap <stream>`: what passes, from now on. */
export function tapCommand(world: World): Command {
  const stages = new Option("--stage <stage>", "what left this stage")
    .choices(["privacy", "inference", "results"])
    .default("results");
  const command = new Command("tap")
    .description("show messages as they pass, past the filter; some are left out where they come too fast")
    .argument("<stream>", "the stream's name")
    .addOption(stages);
  return withClientOptions(command).action(async (stream: string, flags: TapFlags) => {
    const { output, signal } = world;
    await withClient(flags, world, async (client) => {
      for await (const tapped of client.tap(stream, { stage: flags.stage, signal })) {
        const { messages, dropped, unseen, gone } = tapped;
        for (const message of messages)
          await (flags.json === true ? output.json(message) : output.line(renderMessage(message)));
        if (dropped > 0) output.notice(`${dropped} left out: they come faster than they are shown.`);
        if (unseen > 0) output.notice(`${unseen} not shown: too large, or output could not read them.`);
        if (gone > 0) output.notice(`${gone} not shown: their bytes were gone before they were read.`);
      }
    });
  });
}
