import { readFile } from "node:fs/promises";
import { text as textOf } from "node:stream/consumers";
import { CodedError } from "@millrace/errors";
import type { EventType, TriggerAction, TriggerFilter, TriggerSettings } from "@millrace/sdk";
import type { ClientOptions, World } from "./client.js";

export interface AddFlags extends ClientOptions {
  stream?: string;
  on?: string[];
  webhook?: string;
  secret?: string[];
  headerSecret?: string[];
  nats?: string;
  notify?: string;
  kafka?: string;
  kafkaServer?: string[];
  anonymize?: true;
  priority?: "high" | "batch";
  sourceId?: string[];
  finding?: string[];
  minScore?: number;
  channel?: string[];
  paused?: true;
  settings?: string;
  replace?: true;
}

export const actionNames = ["webhook", "nats", "notify", "kafka", "anonymize"] as const;
const ofConnecting = ["address", "tls", "caFile", "serverName", "tokenFile", "json", "replace"];

/** What flags, or a file of settings, ask for; what names may be is the server's to say. */
export async function readSettings(
  id: string | undefined,
  flags: AddFlags,
  { stdin }: Pick<World, "stdin">,
): Promise<TriggerSettings> {
  if (flags.settings !== undefined) {
    const others = Object.keys(flags).filter((name) => name !== "settings" && !ofConnecting.includes(name));
    if (id === undefined && others.length === 0) return parseSettings(flags.settings, stdin);
    throw wrong("--settings", "stands beside others", "Write all into the file, or use flags alone.");
  }
  if (id === undefined) throw wrong("id", "is missing", "Name the trigger, or give --settings <path>.");
  const on = (flags.on ?? []).flatMap((types) => types.split(","));
  if (on.length === 0) throw wrong("--on", "is missing", "Name types of events, such as new_data.");
  const where = filterOf(flags);
  return {
    id,
    ...(flags.stream !== undefined && { stream: flags.stream }),
    // An unknown one is refused with those that there are.
    on: on as EventType[],
    ...(Object.keys(where).length > 0 && { where }),
    ...actionOf(flags),
    ...(flags.paused === true && { paused: true }),
  };
}

async function parseSettings(path: string, stdin: World["stdin"]): Promise<TriggerSettings> {
  const read = path === "-" ? textOf(stdin) : readFile(path, "utf8");
  const text = await read.catch((cause: unknown) => {
    const remedy = "Name a file that can be read, or - for stdin.";
    throw new CodedError("not_found", `triggers: ${path} cannot be read`, {
      field: "--settings",
      remedy,
      cause,
    });
  });
  try {
    return JSON.parse(text) as TriggerSettings;
  } catch {
    throw wrong("--settings", "is no JSON", 'Write {"id":"a","on":["new_data"],"nats":"a"}, for example.');
  }
}

function filterOf({ priority, sourceId, finding, minScore, channel }: AddFlags): TriggerFilter {
  return {
    ...(priority !== undefined && { priority }),
    ...(sourceId !== undefined && { sourceIds: sourceId }),
    ...(finding !== undefined && { findingTypes: finding }),
    ...(minScore !== undefined && { minScore }),
    ...(channel !== undefined && { channels: channel }),
  };
}

function actionOf(flags: AddFlags): TriggerAction {
  const { webhook, nats, notify, kafka, anonymize, secret, headerSecret, kafkaServer } = flags;
  const named = actionNames.filter((name) => flags[name] !== undefined);
  if (named.length !== 1) {
    const flagNames = actionNames.map((name) => `--${name}`).join(", ");
    throw wrong("action", named.length === 0 ? "is missing" : "is given twice", `Give one of ${flagNames}.`);
  }
  if (webhook === undefined && (secret ?? headerSecret) !== undefined)
    throw wrong(
      secret === undefined ? "--header-secret" : "--secret",
      "goes with --webhook",
      "Leave it out.",
    );
  if ((kafka === undefined) !== (kafkaServer === undefined))
    throw wrong("--kafka-server", "goes with --kafka", "Give both, or neither.");
  return {
    ...(webhook !== undefined && {
      webhook: { url: webhook, ...(secret && { secrets: secret }), ...headersOf(headerSecret) },
    }),
    ...(nats !== undefined && { nats }),
    ...(notify !== undefined && { notify }),
    ...(kafka !== undefined && { kafka: { topic: kafka, bootstrapServers: kafkaServer ?? [] } }),
    ...(anonymize !== undefined && { anonymize }),
  };
}

/** Values stand in files of the operator: arguments of a process are seen by all users of a machine. */
function headersOf(
  given: readonly string[] | undefined,
): Pick<NonNullable<TriggerAction["webhook"]>, "headers"> {
  if (given === undefined) return {};
  const headers = given.map((each): [string, { secret: string }] => {
    const at = each.indexOf("=");
    if (at < 1) throw wrong("--header-secret", "names no header and secret", "Give header=name.");
    return [each.slice(0, at), { secret: each.slice(at + 1) }];
  });
  return { headers: Object.fromEntries(headers) };
}

const wrong = (field: string, problem: string, remedy: string): CodedError =>
  new CodedError("invalid_argument", `triggers add: ${field} ${problem}`, { field, remedy });
