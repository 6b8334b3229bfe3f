/** Stands in for image-worker.js: an image of these words does to the process what it says. Only run. */
import type { FromImageWorker, ToImageWorker } from "../image-worker.js";

function tell(answer: FromImageWorker): void {
  process.send?.(answer);
}

process.on("disconnect", () => process.exit(0));
process.on("message", (message: ToImageWorker) => {
  if (message.is === "start") return tell({ is: "ready" });
  const word = Buffer.from(message.bytes).toString();
  if (word === "exits") process.exit(0);
  if (word === "aborts") process.abort();
  if (word === "hangs") return;
  tell({ is: "cleaned", id: message.id, bytes: message.bytes, faces: [] });
});
