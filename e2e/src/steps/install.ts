import { dirname } from "node:path";
import { createStreamProcessor } from "@millrace/sdk";
import { run } from "../cluster/command.js";
import { openGateway } from "../cluster/gateway.js";
import { selector } from "../cluster/release.js";
import { commandsOf, programsOf, scriptOf } from "../judge/notes.js";
import { root } from "../settings.js";
import type { Context, Step } from "./step.js";

const readyWithinSeconds = 180;

/** A fresh install with default values is ready in time, and what it prints works. */
export const installStep: Step = {
  name: "install",
  profile: "small",
  installs: true,
  async run(context) {
    const { checks, release, kubectl } = context;
    const isThere = await checks.check(`all pods are ready within ${readyWithinSeconds} s`, async () => {
      const seconds = await release.install("small");
      if (seconds > readyWithinSeconds) throw new Error(`it took ${seconds.toFixed(0)} s`);
      return `${seconds.toFixed(1)} s from helm install to Ready`;
    });
    if (!isThere) await tellPods(context);
    await checks.check("every pod was admitted under enforced restricted", async () => {
      const pods = await kubectl.list("pods", selector);
      const { metadata } = await kubectl.get("namespace", context.settings.namespace);
      const level = metadata.labels?.["pod-security.kubernetes.io/enforce"];
      if (level !== "restricted" || pods.length < 8) throw new Error(`${pods.length} pods under ${level}`);
      return `${pods.length} pods`;
    });
    await checks.check("a text is published, subscribed to and found through the gRPC Service", () =>
      useOnce(context),
    );
    await checks.check("the commands that the notes print work as printed", () => followNotes(context));
  },
};

/** Why it is not ready: what a person would look at first. */
async function tellPods({ checks, kubectl }: Context): Promise<void> {
  const pods = await kubectl.try(["get", "pods", "-o", "wide"]);
  const events = await kubectl.try(["get", "events", "--field-selector", "type=Warning"]);
  checks.say(`${pods.stdout}\n${events.stdout.split("\n").slice(-20).join("\n")}`);
}

async function useOnce({ settings, kubectl }: Context): Promise<string> {
  await using gateway = await openGateway(settings, kubectl);
  await using reviews = await createStreamProcessor("e2e-first", gateway.client);
  const began = performance.now();
  const { position } = await reviews.publish({
    text: "We waited two hours for a cold pizza, write to ann@example.com.",
    sourceId: "table-2",
  });
  for await (const message of reviews.subscribe({ from: "earliest" })) {
    if (message.kind !== "text") continue;
    if (!message.text.includes("[EMAIL]")) throw new Error(`it came unredacted: ${message.text}`);
    break;
  }
  const after = { stream: "e2e-first", position };
  const { hits } = await reviews.search("a long wait for food", { maxResults: 1, after });
  if (!hits[0]?.text?.includes("cold pizza")) throw new Error(`found ${JSON.stringify(hits[0])}`);
  return `by ${gateway.address}, ${Math.round(performance.now() - began)} ms for all three`;
}

async function followNotes({ settings, release }: Context): Promise<string> {
  const commands = commandsOf(await release.notes());
  const publishes = commands.filter((command) => /\bpublish\b/i.test(command));
  const searches = commands.filter((command) => /\bsearch\b/i.test(command));
  if (publishes.length === 0 || searches.length === 0) {
    throw new Error(`the notes print no first publish and search, but:\n${commands.join("\n")}`);
  }
  const path = `${dirname(settings.kubectl)}:${process.env["PATH"] ?? ""}`;
  const env = { ...process.env, KUBECONFIG: settings.kubeconfig, PATH: path };
  for (const program of programsOf(commands)) {
    const { code } = await run("sh", ["-c", `command -v ${program}`], { env });
    if (code !== 0) throw new Error(`the notes use ${program}: install it on PATH`);
  }
  const script = `cd '${root}'\n${scriptOf(commands)}`;
  const { code, stdout, stderr } = await run("bash", ["-c", script], { env, timeoutMs: 180_000 });
  if (code !== 0) throw new Error(`exit code ${code}:\n${stdout}\n${stderr}`);
  return `${commands.length} commands`;
}
