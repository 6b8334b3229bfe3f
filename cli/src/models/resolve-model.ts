import { CodedError } from "@millrace/errors";
import { readManifest } from "./manifest.js";
import { type PulledModel, type PullOptions, pullModel } from "./pull.js";

/**
 * The first model of a task that can be had, or undefined: for what an installation may go without. Each try
 * is logged, and what needs the model says so when it is asked. None that is opt-in.
 *
 * @throws CodedError canceled, or where the manifest cannot be read.
 */
export async function resolveModel(
  task: string,
  options: Omit<PullOptions, "only">,
): Promise<PulledModel | undefined> {
  for (const entry of await readManifest(options.manifestPath)) {
    if (entry.task !== task || entry.optIn) continue;
    try {
      return await pullModel(entry, options);
    } catch (caught) {
      const error = CodedError.from(caught, `pull ${entry.name}`);
      if (error.code === "canceled") throw error;
    }
  }
  return undefined;
}

/** Tasks beside the text model, and what is missing without one. */
export const imageTasks: Readonly<Record<string, string>> = {
  "face-detection": "images wait, since none passes without its faces blurred",
  "object-detection": "images wait in which objects are to be found",
  "scene-classification": "images wait of which it is to be said what they show",
};

/** The models for images, as far as they can be had; a missing one is told with what it means. */
export async function resolveImageModels(options: Omit<PullOptions, "only">): Promise<PulledModel[]> {
  const models: PulledModel[] = [];
  for (const [task, without] of Object.entries(imageTasks)) {
    const model = await resolveModel(task, options);
    if (model !== undefined) models.push(model);
    else options.log(`no ${task} model could be had: ${without}. To try again: npx millrace models pull`);
  }
  return models;
}
