import { createChecks } from "./checks.js";
import { createKubectl } from "./cluster/kubectl.js";
import { createRelease } from "./cluster/release.js";
import { readSettings } from "./settings.js";
import { bulkStep } from "./steps/bulk.js";
import { installStep } from "./steps/install.js";
import { permissionsStep } from "./steps/permissions.js";
import { rollStep } from "./steps/roll.js";
import { scaleStep } from "./steps/scale.js";
import type { Context, Step } from "./steps/step.js";
import { uninstallStep } from "./steps/uninstall.js";
import { upgradeStep } from "./steps/upgrade.js";

/** In this order. The permission matrix comes last before its release goes: it also deletes and purges. */
const steps: readonly Step[] = [
  installStep,
  scaleStep,
  upgradeStep,
  bulkStep("small"),
  permissionsStep,
  uninstallStep("small"),
  rollStep,
  bulkStep("production"),
  uninstallStep("production"),
];

/** Runs the steps that are named, or all; the exit code. */
export async function runSteps(names: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const write = (line: string): void => void process.stdout.write(`${line}\n`);
  const checks = createChecks(write);
  try {
    const chosen = choose(names);
    const settings = readSettings(env);
    const kubectl = createKubectl(settings);
    const release = await createRelease(settings, kubectl);
    const context = { settings, kubectl, release, checks, bulk: new Map() };
    for (const step of chosen) await runStep(step, context);
    if (release.profile !== undefined && !settings.keeps) await release.uninstall();
  } catch (error) {
    await checks.check("the run", () => Promise.reject(error));
  }
  write(`${checks.passed} passed, ${checks.failed} failed`);
  return checks.failed === 0 && checks.passed > 0 ? 0 : 1;
}

/** A name stands for all steps that begin with it: `bulk` for bulk-small and bulk-production. */
export function choose(names: readonly string[]): readonly Step[] {
  const isOf = (step: Step, name: string): boolean => step.name === name || step.name.startsWith(`${name}-`);
  const unknown = names.filter((name) => !steps.some((step) => isOf(step, name)));
  if (unknown.length > 0) {
    const known = steps.map(({ name }) => name).join(", ");
    throw new Error(`e2e: there is no step ${unknown.join(", ")}. Name some of: ${known}`);
  }
  return names.length === 0 ? steps : steps.filter((step) => names.some((name) => isOf(step, name)));
}

async function runStep(step: Step, context: Context): Promise<void> {
  const { checks, release } = context;
  checks.say(`— ${step.name}`);
  const isReady =
    step.installs === true ||
    release.profile === step.profile ||
    (await checks.check(`the ${step.profile} release is installed`, () => release.ensure(step.profile)));
  if (!isReady) return;
  try {
    await step.run(context);
  } catch (error) {
    await checks.check(`${step.name} runs to its end`, () => Promise.reject(error));
  }
}
