import { readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";

/**
 * Takes from installed packages what no service reads at run time: other platforms' native files, sources of
 * native code, types, maps, and pnpm's own records (they hold times and machine paths, so two builds of one
 * commit would differ).
 */

const documents = "map|ts|cts|mts|flow|tsbuildinfo|md|markdown";
const nativeSources = "c|cc|cpp|h|hh|hpp|rs|swift|go|py|gyp|gypi|cmake|zig|java|cs|asm|s";
const otherLibraries = "dll|dylib|lib";
const extensions = new RegExp(`\\.(${documents}|${nativeSources}|${otherLibraries})$`, "i");

/** A licence has to travel with what it covers, however its file is called. */
const kept = /^(licen[cs]e|notice|copying|thirdpartynotices)/i;

const recordFiles = /^(\.modules\.yaml|\.pnpm-workspace-state.*|lock\.yaml|\.yarn.*)$/;

const uselessFolders = new Set([".bin", ".github", "test", "tests", "__tests__", "numkong", "benchmark"]);

/** Folders that name the platform of what lies in them: `linux-x64`, `darwin/arm64`, `musl_x64`. */
const platformFolder = /^(win32|darwin|linux|freebsd|openbsd|android|musl)(?:[-_](.+))?$/;
const archFolder = /^(x64|arm64|ia32|arm|riscv64|loong64|ppc64|s390x)$/;

/**
 * @typedef {{ platform: string, arch: string }} Target
 *
 * @typedef {{ folder: string, inNative: boolean }} Place
 */

/**
 * @param {string} folder a node_modules
 * @param {Target} target
 */
export function pruneDependencies(folder, target) {
  visit({ folder, inNative: false }, target);
}

/**
 * @param {Place} place
 * @param {Target} target
 * @returns {boolean} whether anything is left
 */
function visit({ folder, inNative }, target) {
  let left = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    const fate = entry.isDirectory() ? folderFate(entry.name, inNative, target) : undefined;
    if (fate === "go" || (entry.isFile() && fileGoes(entry.name))) {
      rmSync(path, { recursive: true });
    } else if (fate === undefined || visit({ folder: path, inNative: fate === "native" }, target)) {
      left += 1;
    }
  }
  if (left === 0) rmdirSync(folder);
  return left > 0;
}

/**
 * @param {string} name
 * @param {boolean} inNative
 * @param {Target} target
 * @returns {"go" | "native" | "stay"}
 */
function folderFate(name, inNative, target) {
  if (uselessFolders.has(name)) return "go";
  const named = platformFolder.exec(name);
  if (named !== null) return isOfTarget(named[1] ?? "", named[2], target) ? "native" : "go";
  if (inNative && archFolder.test(name)) return name === target.arch ? "native" : "go";
  return "stay";
}

/**
 * @param {string} platform
 * @param {string | undefined} arch several are joined by a plus
 * @param {Target} target
 */
function isOfTarget(platform, arch, target) {
  return platform === target.platform && (arch === undefined || arch.split("+").includes(target.arch));
}

/** @param {string} name */
function fileGoes(name) {
  if (kept.test(name)) return false;
  return extensions.test(name) || recordFiles.test(name);
}
