import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { eventually } from "@millrace/runtime/testing";

const checkout = fileURLToPath(new URL("../../../../", import.meta.url));
const pom = fileURLToPath(new URL("../../testing/pom.xml", import.meta.url));

const fetchMs = 180_000;

/**
 * The folder with the jars that the pom names, in the program cache and fetched by Maven the first time:
 * 43 MB. Two processes that need them at once fetch them once.
 */
export async function obtainBrokerJars(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const cache = join(env["MILLRACE_CACHE_DIR"] || join(checkout, ".cache", "millrace"), "kafka");
  const stamp = createHash("sha256")
    .update(await readFile(pom))
    .digest("hex")
    .slice(0, 16);
  const jars = join(cache, stamp);
  if (existsSync(jars)) return jars;
  await mkdir(cache, { recursive: true });
  const lock = join(cache, `${stamp}.lock`);
  await eventually(() => existsSync(jars) || take(lock), {
    what: `the Kafka jars are fetched by another process (${lock})`,
    deadlineMs: fetchMs,
    pollMs: 100,
  });
  try {
    if (!existsSync(jars)) await fetchJars(jars);
  } finally {
    if (holderOf(lock) === process.pid) rmSync(lock, { force: true });
  }
  return jars;
}

/** Into a folder aside, then renamed: what was interrupted never looks whole. */
async function fetchJars(jars: string): Promise<void> {
  const aside = `${jars}.${process.pid}.part`;
  const goal = ["dependency:copy-dependencies", `-DoutputDirectory=${aside}`];
  try {
    await promisify(execFile)("mvn", ["-q", "-B", "-f", pom, ...goal], { timeout: fetchMs });
    await rename(aside, jars);
  } catch (cause) {
    await rm(aside, { recursive: true, force: true });
    throw new Error(
      "no Kafka broker for the tests: Maven could not fetch it. Install maven (it brings Java 17) and " +
        "check that it reaches its repository.",
      { cause },
    );
  }
}

function take(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: "wx" });
    return true;
  } catch {
    const holder = holderOf(lock);
    if (holder !== undefined && !isAlive(holder)) rmSync(lock, { force: true });
    return false;
  }
}

/** Undefined between its making and its filling, and once it is gone. */
function holderOf(lock: string): number | undefined {
  try {
    return Number(readFileSync(lock, "utf8")) || undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
