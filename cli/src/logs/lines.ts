import { StringDecoder } from "node:string_decoder";

/** A longer line is cut: a program that prints no line end must not fill our memory. */
export const lineCharsMax = 64 * 1024;

/** Cuts a readable's bytes into lines. The last line, if it has no end, comes when the readable ends. */
export function eachLine(readable: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  readable.on("data", (bytes: Buffer) => {
    const lines = (rest + decoder.write(bytes)).split("\n");
    rest = (lines.pop() ?? "").slice(0, lineCharsMax);
    for (const line of lines) onLine(line.slice(0, lineCharsMax));
  });
  readable.on("end", () => {
    if (rest !== "") onLine(rest);
  });
}
