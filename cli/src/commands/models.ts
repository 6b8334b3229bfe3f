import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { cacheDir, manifestPath, resolveTextModel } from "../models/index.js";
import type { World } from "./client.js";

const workspace = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");

export function modelsCommand({ output, signal }: World): Command {
  const command = new Command("models").description("the models of this machine");
  command
    .command("pull")
    .description("fetch the text model, or check the one that is there")
    .action(async () => {
      const model = await resolveTextModel({
        manifestPath: manifestPath(workspace),
        cacheDir: cacheDir(workspace, process.env),
        log: output.notice,
        signal,
      });
      await output.line(`${model.state}  ${model.name}  ${model.directory}`);
    });
  return command;
}
