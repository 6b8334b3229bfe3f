import type { MillraceClient, TriggerAction, TriggerRef, TriggerStatusInfo } from "@millrace/sdk";
import { Command, Option } from "commander";
import { oneLine, renderTable } from "../output.js";
import {
  type ClientOptions,
  collect,
  parseScore,
  withClient,
  withClientOptions,
  type World,
} from "./client.js";
import { actionNames, type AddFlags, readSettings } from "./trigger-flags.js";

interface OfStream extends ClientOptions {
  stream?: string;
}

/** `millrace triggers`: what is done about events. */
export function triggersCommand(world: World): Command {
  return new Command("triggers")
    .description("triggers: what is done about events, by type and filter")
    .addCommand(listCommand(world))
    .addCommand(showCommand(world))
    .addCommand(addCommand(world))
    .addCommand(removeCommand(world))
    .addCommand(pauseCommand(world))
    .addCommand(resumeCommand(world));
}

function listCommand(world: World): Command {
  const command = new Command("ls")
    .description("list them, and how they fare")
    .argument("[stream]", "only its own");
  return withClientOptions(command).action(async (stream: string | undefined, flags: ClientOptions) => {
    const { output } = world;
    await withClient(flags, world, async (client) => {
      const triggers = await client.triggers.list(stream);
      if (flags.json === true) for (const trigger of triggers) await output.json(trigger);
      else if (triggers.length === 0) output.notice("There is none.");
      else for (const line of renderTriggers(triggers)) await output.line(line);
    });
  });
}

function showCommand(world: World): Command {
  return ofOne(
    new Command("show").description("show one with its settings"),
    world,
    async (client, which) => {
      const trigger = await client.triggers.get(which);
      return { value: trigger, lines: renderTrigger(trigger) };
    },
  );
}

function addCommand(world: World): Command {
  const command = new Command("add")
    .description("act on events from now on")
    .argument("[id]", "1 to 64 of a-z, 0-9 and '-'; not needed with --settings")
    .option("--stream <name>", "of this stream; default: of every one")
    .option("--on <type>", "on events of this type, such as privacy_violation; may be repeated", collect)
    .option("--webhook <url>", "POST each as the Standard Webhooks say")
    .option("--secret <name>", "sign with this secret of the operator; may be repeated", collect)
    .option("--header-secret <header=name>", "send a header with a secret of the operator", collect)
    .option("--nats <name>", "publish on trigger.<tenant>.<name> of the broker")
    .option("--notify <channel>", "tell a channel by a notification event")
    .option("--kafka <topic>", "send to this Kafka topic; TLS and SASL: with --settings")
    .option("--kafka-server <host:port>", "a broker of that Kafka cluster; may be repeated", collect)
    .option("--anonymize", "clean the contents that they lead to by every detector, for good")
    .addOption(new Option("--priority <lane>", "only new_data of this one").choices(["high", "batch"]))
    .option("--source-id <id>", "only about this source; may be repeated", collect)
    .option("--finding <type>", "only of findings such as CARD; may be repeated", collect)
    .option("--min-score <cosine>", "only as similar as this", parseScore)
    .option("--channel <name>", "only notifications to this channel; may be repeated", collect)
    .option("--paused", "events wait until it is resumed")
    .option("--settings <path>", "read all settings as JSON from this file, or from stdin with -")
    .option("--replace", "change the trigger of that name instead");
  return withClientOptions(command).action(async (id: string | undefined, flags: AddFlags) => {
    const { output } = world;
    const settings = await readSettings(id, flags, world);
    await withClient(flags, world, async ({ triggers }) => {
      const done = await (flags.replace === true ? triggers.update(settings) : triggers.create(settings));
      if (flags.json === true) return output.json(done);
      output.notice(`Trigger ${nameOf(done)} ${flags.replace === true ? "is changed" : "is on"}.`);
    });
  });
}

function removeCommand(world: World): Command {
  const command = new Command("rm").description("remove one; what it had not delivered yet is left out");
  return ofOne(command, world, async (client, which) => {
    await client.triggers.delete(which);
    return { value: { removed: which }, notice: `Trigger ${nameOf(which)} is removed.` };
  });
}

function pauseCommand(world: World): Command {
  const command = new Command("pause").description("let its events wait, 7 days at most");
  return ofOne(command, world, async (client, which) => {
    const value = await setPaused(client, which, true);
    return { value, notice: `Trigger ${nameOf(which)} is paused.` };
  });
}

function resumeCommand(world: World): Command {
  const command = new Command("resume").description("go on, also where its target had answered 410");
  return ofOne(command, world, async (client, which) => {
    const value = await setPaused(client, which, false);
    return { value, notice: `Trigger ${nameOf(which)} is on.` };
  });
}

async function setPaused({ triggers }: MillraceClient, which: TriggerRef, paused: boolean): Promise<object> {
  return triggers.update({ ...which, ...shownSettings(await triggers.get(which)), paused });
}

interface Done {
  value: object;
  lines?: readonly string[];
  notice?: string;
}

/** A command about one trigger. */
function ofOne(
  command: Command,
  world: World,
  run: (client: MillraceClient, which: TriggerRef) => Promise<Done>,
): Command {
  command
    .argument("<id>", "as `millrace triggers ls` shows it")
    .option("--stream <name>", "the one of this stream; default: of every stream");
  return withClientOptions(command).action(async (id: string, flags: OfStream) => {
    const { output } = world;
    await withClient(flags, world, async (client) => {
      const { stream } = flags;
      const {
        value,
        lines = [],
        notice,
      } = await run(client, { id, ...(stream !== undefined && { stream }) });
      if (flags.json === true) return output.json(value);
      for (const line of lines) await output.line(line);
      if (notice !== undefined) output.notice(notice);
    });
  });
}

const nameOf = ({ stream, id }: TriggerRef): string => `${stream || "*"}/${id}`;

/** What it does and on what, by the names that settings have. */
function shownSettings({ on, where, webhook, nats, notify, kafka, anonymize }: TriggerStatusInfo) {
  return {
    on,
    ...(where !== undefined && { where }),
    ...(webhook !== undefined && { webhook }),
    ...(nats !== undefined && { nats }),
    ...(notify !== undefined && { notify }),
    ...(kafka !== undefined && { kafka }),
    ...(anonymize !== undefined && { anonymize }),
  };
}

function actionOf(trigger: TriggerAction): string {
  const name = actionNames.find((known) => trigger[known] !== undefined);
  const { webhook, nats, notify, kafka } = trigger;
  const target = webhook?.url ?? nats ?? notify ?? kafka?.topic;
  return [name ?? "unknown", ...(target === undefined ? [] : [target])].join(" ");
}

export function renderTriggers(triggers: readonly TriggerStatusInfo[]): string[] {
  const heads = ["TRIGGER", "STATE", "ON", "ACTION", "WAITING", "DEAD"];
  const rows = triggers.map((trigger) => [
    nameOf(trigger),
    trigger.state,
    trigger.on.join(","),
    oneLine(actionOf(trigger)),
    String(trigger.waiting),
    String(trigger.deadLetters),
  ]);
  return renderTable(heads, rows);
}

/** What headers hold is never answered, so nothing here is secret. */
export function renderTrigger(trigger: TriggerStatusInfo): string[] {
  const { state, waiting, deadLetters, lastError, lastErrorTime, lastDoneTime } = trigger;
  const at = (time: Date | undefined): string => time?.toISOString() ?? "never";
  return [
    `${nameOf(trigger)}: ${state}, ${waiting} waiting, ${deadLetters} dead`,
    `last done: ${at(lastDoneTime)}`,
    ...(lastError === "" ? [] : [`last error: ${at(lastErrorTime)}: ${oneLine(lastError)}`]),
    ...Object.entries(shownSettings(trigger)).map(([key, value]) => `${key}: ${JSON.stringify(value)}`),
  ];
}
