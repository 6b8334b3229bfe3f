import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import loadWabt from "wabt";

/** Where the source lies, seen from dist/detect/scan. */
const sourceFolder = new URL("../../../src/detect/scan/", import.meta.url);

/** Text of prefilter-wasm.ts for the prefilter's source. */
export async function generatePrefilter(): Promise<string> {
  const wabt = await loadWabt();
  const wat = await readFile(new URL("prefilter.wat", sourceFolder), "utf8");
  const parsed = wabt.parseWat("prefilter.wat", wat, { simd: true });
  try {
    const base64 = Buffer.from(parsed.toBinary({}).buffer).toString("base64");
    const lines = (base64.match(/.{1,100}/g) ?? []).map((line) => `  "${line}"`);
    return [
      "// Generated from prefilter.wat by generate-prefilter.ts; do not edit.",
      "export const prefilterWasmBase64 =",
      `${lines.join(" +\n")};`,
      "",
    ].join("\n");
  } finally {
    parsed.destroy();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(new URL("prefilter-wasm.ts", sourceFolder), await generatePrefilter());
}
