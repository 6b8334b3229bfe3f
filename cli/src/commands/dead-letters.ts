import type { DeadLetter, DeadLetterFilter, ShownDeadLetter } from "@millrace/sdk";
import { CodedError } from "@millrace/errors";
import { Command } from "commander";
import { type ClientOptions, withClient, withClientOptions, type World } from "./client.js";
import { oneLine } from "../output.js";
import { renderMessage } from "./subscribe.js";

interface FilterFlags extends ClientOptions {
  stream?: string;
  stage?: string;
  code?: string;
}

/** `millrace dlq`: messages that could not be processed. */
export function deadLettersCommand(world: World): Command {
  return new Command("dlq")
    .description("dead letters: messages that could not be processed, and events that triggers gave up on")
    .addCommand(listCommand(world))
    .addCommand(showCommand(world))
    .addCommand(redriveCommand(world))
    .addCommand(discardCommand(world));
}

function listCommand(world: World): Command {
  const command = new Command("ls")
    .description("list them, without payload")
    .argument("[stream]", "only its");
  return withFilters(command).action(async (stream: string | undefined, flags: FilterFlags) => {
    const { output, signal } = world;
    await withClient(flags, world, async (client) => {
      const filter = { ...narrowed(flags), ...(stream !== undefined && { stream }) };
      for await (const letter of client.deadLetters.list(filter, { signal })) {
        await (flags.json === true ? output.json(letter) : output.line(renderLetter(letter)));
      }
    });
  });
}

function showCommand(world: World): Command {
  const command = new Command("show")
    .description("show one with its message, without personal data")
    .argument("<id>", "as `millrace dlq ls` shows it");
  return withClientOptions(command).action(async (id: string, flags: ClientOptions) => {
    const { output } = world;
    await withClient(flags, world, async (client) => {
      const shown = await client.deadLetters.get(id);
      if (flags.json === true) return output.json(shown);
      await output.line(renderLetter(shown.letter));
      if (shown.letter.refusal !== "") output.notice(`It can't be redriven: ${shown.letter.refusal}.`);
      if (shown.event !== undefined) return output.line(renderEvent(shown.event));
      if (shown.message === undefined) return output.notice(`The message is not shown: ${shown.withheld}.`);
      return output.line(renderMessage(shown.message));
    });
  });
}

function redriveCommand(world: World): Command {
  const command = new Command("redrive")
    .description("hand one, or all of a stream, to the stage or trigger again that gave them up")
    .argument("[id]", "as `millrace dlq ls` shows it");
  return withFilters(command.option("--stream <name>", "all of this stream")).action(
    async (id: string | undefined, flags: FilterFlags) => {
      const { output } = world;
      await withClient(flags, world, async (client) => {
        const done = await client.deadLetters.redrive(whichOf(id, flags));
        if (flags.json === true) return output.json(done);
        for (const { id: failed, code, reason } of done.failures) {
          output.notice(`${failed} stays: ${code}: ${reason}`);
        }
        return output.line(`Redriven: ${done.redriven}. Left: ${done.failures.length}.`);
      });
    },
  );
}

function discardCommand(world: World): Command {
  const command = new Command("discard")
    .description("remove one, or all of a stream, for good")
    .argument("[id]", "as `millrace dlq ls` shows it");
  return withFilters(command.option("--stream <name>", "all of this stream")).action(
    async (id: string | undefined, flags: FilterFlags) => {
      const { output } = world;
      await withClient(flags, world, async (client) => {
        const discarded = await client.deadLetters.discard(whichOf(id, flags));
        await (flags.json === true ? output.json({ discarded }) : output.line(`Discarded: ${discarded}.`));
      });
    },
  );
}

function withFilters(command: Command): Command {
  return withClientOptions(
    command
      .option("--stage <name>", "only those that this stage gave up")
      .option("--code <code>", "only those with this error code"),
  );
}

const narrowed = ({ stage, code }: FilterFlags): Pick<DeadLetterFilter, "stage" | "code"> => ({
  ...(stage !== undefined && { stage }),
  ...(code !== undefined && { code }),
});

function whichOf(id: string | undefined, flags: FilterFlags): string | DeadLetterFilter {
  const { stream } = flags;
  if (id !== undefined && stream === undefined) return id;
  if (id === undefined && stream !== undefined) return { stream, ...narrowed(flags) };
  throw new CodedError("invalid_argument", "dlq: name one letter, or one stream", {
    field: id === undefined ? "id" : "--stream",
    remedy: "Give an id, or --stream <name> for all of a stream.",
  });
}

function renderLetter({ id, stream, stage, code, reason, attempts, timeMs, ...letter }: DeadLetter): string {
  const what = letter.kind === "" ? "batch" : letter.kind;
  const when = new Date(timeMs).toISOString();
  const tries = attempts === 1 ? "1 attempt" : `${attempts} attempts`;
  const size = `${what} of ${letter.contentBytes} B`;
  const { trigger } = letter;
  const who = trigger === undefined ? stage : `${stage} ${trigger.stream || "*"}/${trigger.id}`;
  return `${id}  ${when}  ${stream}  ${who}  ${size}  ${tries}  ${code}: ${reason}`;
}

function renderEvent({ id, type, time, payload }: NonNullable<ShownDeadLetter["event"]>): string {
  return oneLine(`${type}  ${time.toISOString()}  ${id}  ${JSON.stringify(payload)}`);
}
