import { CodedError } from "@millrace/errors";
import { runClient } from "../supply/run-client.js";

/** What `<path> --version` says, such as `2.15.1` or `2.16.0-RC.2`. */
export async function serverVersion(path: string, idleMs: number): Promise<string> {
  const { stdout, stderr } = await runClient({ command: path, args: ["--version"], idleMs });
  const found = /\bv?(\d+\.\d+\.\d+(?:-[\w.]+)?)/.exec(`${stdout}\n${stderr}`)?.[1];
  if (found === undefined) throw new CodedError("failed_precondition", `${path} does not tell its version`);
  return found;
}

/** Whether `version` is `least` or newer; a preview of `least` is older than it. */
export function isAtLeast(version: string, least: string): boolean {
  const [numbers = "", preview] = version.split("-");
  const found = numbers.split(".").map(Number);
  const wanted = least.split(".").map(Number);
  for (let i = 0; i < wanted.length; i++) {
    const difference = (found[i] ?? 0) - (wanted[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return preview === undefined;
}
