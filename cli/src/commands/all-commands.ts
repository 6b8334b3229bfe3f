import type { Command } from "commander";
import type { World } from "./client.js";
import { anonymizeCommand, contentsCommand } from "./contents.js";
import { deadLettersCommand } from "./dead-letters.js";
import { groupsCommand } from "./groups.js";
import { modelsCommand } from "./models.js";
import { publishCommand } from "./publish.js";
import { replayCommand } from "./replay.js";
import { searchCommand } from "./search.js";
import { statusCommand } from "./status.js";
import { subscribeCommand } from "./subscribe.js";
import { tapCommand } from "./tap.js";
import { triggersCommand } from "./triggers.js";
import { upCommand } from "./up.js";

/** In the order in which `millrace --help` shows them. */
export const allCommands: readonly ((world: World) => Command)[] = [
  statusCommand,
  publishCommand,
  searchCommand,
  contentsCommand,
  anonymizeCommand,
  groupsCommand,
  deadLettersCommand,
  triggersCommand,
  tapCommand,
  subscribeCommand,
  replayCommand,
  modelsCommand,
  upCommand,
];
