import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type CodeText, codeText } from "./code-text.js";

/** A file of the repository that people write. Paths are relative to the checkout, with `/`. */
export interface SourceFile extends CodeText {
  path: string;
  text: string;
}

/** Fetched, built, or private to a machine. */
const foldersNotOurs = new Set([".git", "node_modules", "dist", "gen", ".cache", ".millrace", ".pnpm-store"]);
const written = /\.(ts|mjs|js|json|jsonl|md|proto|ya?ml|py|wat|txt|sh)$|^(run|LICENSE|NOTICE|\.gitignore)$/;
const codeEndings = /\.(ts|mjs|js)$/;

/** From `test/dist/tidy`. */
const root = fileURLToPath(new URL("../../../", import.meta.url));
let files: readonly SourceFile[] | undefined;

export function sourceTree(): readonly SourceFile[] {
  files ??= pathsBelow("").map((path) => sourceFile(path, readFileSync(join(root, path), "utf8")));
  return files;
}

/** Also makes the files that rules are tried on. */
export function sourceFile(path: string, text: string): SourceFile {
  const views = codeEndings.test(path) ? codeText(text) : { code: "", comments: text, strings: "" };
  return { path, text, ...views };
}

function pathsBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) return foldersNotOurs.has(entry.name) ? [] : pathsBelow(path);
      return entry.isFile() && written.test(entry.name) ? [path] : [];
    })
    .sort();
}

export const isTypeScript = ({ path }: SourceFile): boolean => path.endsWith(".ts");
export const isCode = ({ path }: SourceFile): boolean => codeEndings.test(path);
export const isTest = ({ path }: SourceFile): boolean => /\.test\.(ts|mjs)$/.test(path);
/** Texts of others, and what is made by tools: carried as they are. */
export const isData = ({ path }: SourceFile): boolean =>
  /^examples\/corpus\/.*\.(jsonl|json)$|^pnpm-lock\.yaml$|^models\/vocabulary\/|^test\/bench\/results\//.test(
    path,
  );
