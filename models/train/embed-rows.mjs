// Embeds the text of each line of rows.jsonl as a passage, with the embedder that the service uses.
//
//   node models/train/embed-rows.mjs <model> <models directory> <rows.jsonl> <vectors.f32>
//
// vectors.f32: little-endian float32, `dimensions` a row, in the order of the rows.
import { createWriteStream, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadTextEmbedder } from "../../services/inference/dist/model/text-model.js";

const [name, modelsDirectory, rowsPath, vectorsPath] = process.argv.slice(2);
const manifestPath = fileURLToPath(new URL("../manifest.json", import.meta.url));
const embedder = await loadTextEmbedder({ manifestPath, modelsDirectory, name });
const rows = readFileSync(rowsPath, "utf8").trimEnd().split("\n");
const vectors = createWriteStream(vectorsPath);
for (const [i, row] of rows.entries()) {
  const vector = await embedder.embed(JSON.parse(row).text, "passage");
  vectors.write(Buffer.from(vector.buffer));
  if (i % 1000 === 999) process.stderr.write(`${i + 1} of ${rows.length}\n`);
}
vectors.end();
await embedder.close();
