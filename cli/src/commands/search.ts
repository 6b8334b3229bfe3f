import type { SearchOptions, SearchResult } from "@millrace/sdk";
import { Command } from "commander";
import { oneLine } from "../output.js";
import {
  type ClientOptions,
  collect,
  parseCount,
  parseScore,
  withClient,
  withClientOptions,
  type World,
} from "./client.js";

interface SearchFlags extends ClientOptions {
  stream?: string[];
  artifact?: string[];
  maxResults: number;
  minScore?: number;
}

/** `millrace search <query>` */
export function searchCommand(world: World): Command {
  const command = new Command("search")
    .description("find contents by meaning")
    .argument("<query>", "what to look for, in words")
    .option("--stream <name>", "only this stream; may be repeated", collect)
    .option("--artifact <id>", "only this artifact; may be repeated", collect)
    .option("-n, --max-results <count>", "most hits", parseCount(1_000), 10)
    .option("--min-score <score>", "least similarity, -1 to 1", parseScore);
  return withClientOptions(command).action(async (query: string, flags: SearchFlags) => {
    const options: SearchOptions = {
      maxResults: flags.maxResults,
      ...(flags.stream !== undefined && { streams: flags.stream }),
      ...(flags.artifact !== undefined && { artifacts: flags.artifact }),
      ...(flags.minScore !== undefined && { minScore: flags.minScore }),
      signal: world.signal,
    };
    await withClient(flags, world, async (client) => {
      const { output } = world;
      const result = await client.search(query, options);
      if (flags.json === true) for (const hit of result.hits) await output.json(hit);
      else if (result.hits.length === 0) output.notice("Nothing was found.");
      else for (const line of renderHits(result)) await output.line(line);
    });
  });
}

export function renderHits({ hits }: SearchResult): string[] {
  return hits.map(({ score, stream, sourceId, text }) => {
    const place = sourceId === "" ? stream : `${stream}/${sourceId}`;
    return `${score.toFixed(3)}  ${oneLine(place)}  ${oneLine(text)}`;
  });
}
