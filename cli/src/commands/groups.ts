import type { GroupStatus } from "@millrace/sdk";
import { Command } from "commander";
import { renderTable } from "../output.js";
import { type ClientOptions, withClient, withClientOptions, type World } from "./client.js";

/** `millrace groups`: who shares the work on a stream's results. */
export function groupsCommand(world: World): Command {
  return new Command("groups")
    .description("groups that share the work on a stream's results")
    .addCommand(listCommand(world))
    .addCommand(removeCommand(world));
}

function listCommand(world: World): Command {
  const command = new Command("ls")
    .description("list them, and which of them holds its stream back")
    .argument("[stream]", "only its");
  return withClientOptions(command).action(async (only: string | undefined, flags: ClientOptions) => {
    const { output } = world;
    await withClient(flags, world, async (client) => {
      const found: [stream: string, group: GroupStatus][] = [];
      const look = async (stream: string): Promise<void> => {
        for (const group of await client.streams.groups(stream)) found.push([stream, group]);
      };
      if (only !== undefined) await look(only);
      else for await (const { name } of client.streams.list()) await look(name);
      if (flags.json === true) {
        for (const [stream, group] of found) await output.json({ stream, ...group });
        return;
      }
      if (found.length === 0) return output.notice("There are no groups.");
      for (const line of renderGroups(found)) await output.line(line);
      for (const [stream, group] of found) for (const line of heldBack(stream, [group])) output.notice(line);
    });
  });
}

function removeCommand(world: World): Command {
  const command = new Command("rm")
    .description("end a group: what waits for it may be removed, and its stream goes on")
    .argument("<stream>", "the stream's name")
    .argument("<group>", "the group's name");
  return withClientOptions(command).action(async (stream: string, group: string, flags: ClientOptions) => {
    await withClient(flags, world, async (client) => {
      await client.streams.deleteGroup(stream, group);
      world.output.notice(`Group ${group} of ${stream} is deleted.`);
    });
  });
}

const heads = ["STREAM", "GROUP", "MODE", "MEMBERS", "WAITING", "SINCE", "LAST SETTLED"];

export function renderGroups(groups: readonly (readonly [stream: string, group: GroupStatus])[]): string[] {
  const rows = groups.map(([stream, group]) => [
    stream,
    group.name,
    group.maySkip ? "may_skip" : "must_deliver",
    String(group.members),
    `${group.waitingMessages} in ${group.waitingBatches}`,
    group.oldestWaiting?.toISOString() ?? "-",
    group.lastSettled?.toISOString() ?? "never",
  ]);
  return renderTable(heads, rows);
}

/** What to do about groups that nobody works in while a stream waits for them. */
export function heldBack(stream: string, groups: readonly GroupStatus[]): string[] {
  return groups
    .filter(({ holdsBack }) => holdsBack)
    .map(({ name, waitingMessages }) => {
      const why = `nobody works in it, ${waitingMessages} messages wait for it`;
      const then = "and sources wait once the results are full";
      const remedy = `Start its application, or: millrace groups rm ${stream} ${name}`;
      return `group ${name} of ${stream} HOLDS IT BACK: ${why}, ${then}. ${remedy}`;
    });
}
