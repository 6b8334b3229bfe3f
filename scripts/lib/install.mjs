import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mustRun } from "./command.mjs";
import { packageFolders } from "./packages.mjs";
import { root } from "./places.mjs";
import { obtainPnpm, pnpmVersion } from "./pnpm.mjs";
import { timed } from "./progress.mjs";

/** Inside node_modules, so that removing that folder removes the claim that it is whole. */
const stampPath = join(root, "node_modules", ".millrace-install");

/** Installs what the lockfile says, unless that was done already for the same inputs. */
export async function installPackages() {
  const stamp = stampOf();
  if (readStamp() === stamp) return;
  const pnpm = await obtainPnpm();
  await timed("install packages", () =>
    mustRun("install the packages", [pnpm, "install", "--frozen-lockfile", "--reporter=append-only"], {
      help: "If a package.json was changed, run pnpm install once so that pnpm-lock.yaml follows.",
      // Without it pnpm asks before it replaces a node_modules of another origin, and nobody answers.
      env: { ...process.env, CI: "true" },
    }),
  );
  writeFileSync(stampPath, stamp);
}

/** A hash of all that decides what an installation holds. */
function stampOf() {
  const hash = createHash("sha256");
  hash.update([process.version, process.platform, process.arch, pnpmVersion].join(" "));
  const manifests = packageFolders().map((folder) => join(folder, "package.json"));
  for (const path of ["pnpm-lock.yaml", "pnpm-workspace.yaml", "package.json", ...manifests]) {
    hash.update(`\n${path}\n`).update(readFileSync(join(root, path)));
  }
  return hash.digest("hex");
}

function readStamp() {
  try {
    return readFileSync(stampPath, "utf8");
  } catch {
    return undefined;
  }
}
