import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { cacheDir, manifestPath, resolveImageModels, resolveTextModel } from "../models/index.js";
import type { World } from "./client.js";

const workspace = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");

export function modelsCommand({ output, signal }: World): Command {
  const command = new Command("models").description("the models of this machine");
  command
    .command("pull")
    .description("fetch the models for text and images, or check those that are there")
    .action(async () => {
      const request = {
        manifestPath: manifestPath(workspace),
        cacheDir: cacheDir(workspace, process.env),
        log: output.notice,
        signal,
      };
      for (const model of [await resolveTextModel(request), ...(await resolveImageModels(request))]) {
        await output.line(`${model.state}  ${model.name}  ${model.directory}`);
      }
    });
  return command;
}
