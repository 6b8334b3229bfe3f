import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { cacheDir, manifestPath, pullModels, resolveImageModels, resolveTextModel } from "../models/index.js";
import type { World } from "./client.js";

const workspace = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");

export function modelsCommand({ output, signal }: World): Command {
  const command = new Command("models").description("the models of this machine");
  command
    .command("pull")
    .description("fetch the models for text and images, or check those that are there")
    .option("--only <names...>", "these models of the manifest; those that are opt-in only come so")
    .action(async ({ only }: { only?: string[] }) => {
      const request = {
        manifestPath: manifestPath(workspace),
        cacheDir: cacheDir(workspace, process.env),
        log: output.notice,
        signal,
      };
      const models =
        only === undefined
          ? [await resolveTextModel(request), ...(await resolveImageModels(request))]
          : await pullModels({ ...request, only });
      for (const model of models) {
        await output.line(`${model.state}  ${model.name}  ${model.directory}`);
      }
    });
  return command;
}
