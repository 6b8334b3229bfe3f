/** The line in an object of JSON, as Pathway writes it. */
export function lineOfJson(json: Uint8Array): Uint8Array {
  const { line } = JSON.parse(Buffer.from(json).toString("utf8")) as { line: string };
  return Buffer.from(line, "utf8");
}
